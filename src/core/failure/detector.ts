/**
 * Failure detector, after SWIM (Das et al., 2002) and Lifeguard (Dadgar et al., 2018), on links instead of packets:
 * each end of a link that brought no evidence of life for a while pings it; no ack in time, and up to three others are
 * asked to try; nothing, and the member is suspected. Ping and ack only: a heartbeat that counts by itself looks dead
 * behind a throttled timer. Evidence is only what acknowledges something sent from here, so that a member that can
 * send but not hear does not pass for alive.
 *
 * A member that loses every link at once is more likely lost itself: it accuses nobody, but asks the signaling server
 * whether the others are there, and accuses those alone that are gone or do not answer.
 */
import type { LinkId } from '../events.ts'
import type { NodeId } from '../identity/node-id.ts'
import { compareNodeIds } from '../identity/node-id.ts'
import type { MembershipTable, TableChange } from '../membership/table.ts'
import type { Outbox } from '../outbox.ts'
import type { Random } from '../time.ts'
import type { Tuning } from '../tuning.ts'
import { Errands } from './errands.ts'
import { Inquiry } from './inquiry.ts'
import type { InquiryOptions } from './inquiry.ts'
import { LocalHealth } from './local-health.ts'
import { isObserver, otherObservers } from './observers.ts'
import { ENOUGH_OBSERVERS, Suspicions } from './suspicions.ts'
import type { Phase, Watch } from './watch.ts'
import { newWatch } from './watch.ts'

export interface DetectorOptions extends InquiryOptions {
  readonly table: MembershipTable
  readonly outbox: Outbox
  readonly random: Random
  readonly tuning: Tuning
  /** Shows a member what it is accused of, over its link. */
  readonly challenge: (linkId: LinkId, nodeId: NodeId) => void
  /** The link is useless though its member lives. */
  readonly onUseless: (linkId: LinkId, now: number) => void
}

/** Weight of a new round trip (RFC 6298, section 2) ... */
const ALPHA = 1 / 8
/** ... and of one that is longer than those before: whoever has become slow is given time soon. */
const ALPHA_LONGER = 1 / 2
/** Probes of one member whose ack still counts, however late. */
const OPEN_PROBES = 8
/** A deadline that is passed by more than this gives what waits to be read a chance to prevent what it is for. */
const SLIGHTLY_LATE_MS = 250
/** The higher nodeId of a pair leaves the first ping of a round to the lower, so that pings do not cross. */
const SECOND_FACTOR = 1.25
/** How many others are asked to try (SWIM's k). */
const HELPERS = 3
const NO_LINK: LinkId = 0
/** An answer counts as one of lately for so many intervals of probes: one or two that are lost change nothing. */
const LATELY = 5
/**
 * A link whose member lives, but not for us, is given up this long after others were first known to reach it. How long
 * it was silent before says nothing: where the member's network was gone and is back, all its links come back within
 * seconds (Chromium resends what was lost at most 3 s later), and what arrives first on one of them is no reason to
 * close the others.
 */
const USELESS_MS = 6_000
/** Whoever refuted an accusation from here, but still does not answer here, is left to those who heard it this long. */
const VOUCHED_MS = 10_000
/** A member is shown an accusation at most this often. */
const CHALLENGE_MS = 500

export class Detector {
  readonly health: LocalHealth
  readonly suspicions: Suspicions
  /** What signaling is asked, and says, about members that are silent. */
  readonly inquiry: Inquiry
  readonly #options: DetectorOptions
  readonly #watches = new Map<NodeId, Watch>()
  readonly #byLink = new Map<LinkId, Watch>()
  readonly #errands = new Errands()
  #tokens = 0
  #revision = 0
  /** Nobody is accused before a whole round of probes after a late wake-up. */
  #graceUntil = 0
  #lateAt = -Infinity
  #cutOffSince: number | undefined

  constructor(options: DetectorOptions) {
    this.#options = options
    const { table, tuning } = options
    this.health = new LocalHealth(tuning.maxLocalHealth)
    this.inquiry = new Inquiry(options)
    this.suspicions = new Suspicions(table, tuning, () => this.health.multiplier, {
      observersOf: (nodeId, most) => {
        const own = this.#watches.has(nodeId) ? 1 : 0
        return own + otherObservers(table, nodeId, most - own)
      },
      rttOf: (nodeId) => this.#watches.get(nodeId)?.rttMs ?? 0,
      mayConvict: (nodeId, now, since) => this.#mayConvict(nodeId, now, since),
    })
  }

  /** Grows with every measured round trip. */
  get revision(): number {
    return this.#revision
  }

  /** Smoothed round trip in ms, once measured. */
  rtt(linkId: LinkId): number | undefined {
    return this.#byLink.get(linkId)?.rttMs
  }

  /**
   * Whether a member has lately answered on the link to it: then the link is established at its end as well, and both
   * ways work, so all that it says to this member comes by that link.
   */
  hasAnswered(nodeId: NodeId, now: number): boolean {
    const watch = this.#watches.get(nodeId)
    if (watch?.linkId === undefined || watch.rttMs === undefined) return false
    return now - watch.evidenceAt < LATELY * this.#options.tuning.probeIntervalMs
  }

  /** Whether every watched member is silent. */
  get isCutOff(): boolean {
    if (this.#watches.size === 0) return false
    for (const { phase } of this.#watches.values()) if (phase === 'calm' || phase === 'pinged') return false
    return true
  }

  /** A link is established. */
  watch(linkId: LinkId, nodeId: NodeId, now: number): void {
    const watch = newWatch(nodeId, now)
    watch.linkId = linkId
    const replaced = this.#watches.get(nodeId)?.linkId
    if (replaced !== undefined) this.#byLink.delete(replaced)
    this.#watches.set(nodeId, watch)
    this.#byLink.set(linkId, watch)
    this.#ping(watch, now)
  }

  /** A link has ended, or never came to be; whether its member lives is found out at once, without it. */
  lost(linkId: LinkId, nodeId: NodeId, now: number): void {
    this.#byLink.delete(linkId)
    const known = this.#watches.get(nodeId)
    if (known && known.linkId !== undefined && known.linkId !== linkId) return
    const status = this.#options.table.status(nodeId)
    if (status !== 'up' && status !== 'joining') {
      this.#drop(nodeId)
      return
    }
    const watch = known ?? newWatch(nodeId, now)
    watch.linkId = undefined
    this.#watches.set(nodeId, watch)
    if (watch.phase === 'calm' || watch.phase === 'pinged') this.#askOthers(watch, now)
  }

  /** A member is not to be had, though no link to it has ended: whether it lives, others may know. */
  missed(nodeId: NodeId, now: number): void {
    this.lost(NO_LINK, nodeId, now)
  }

  /** A newer link to the same member takes the place of this one: what comes of that one, counts. */
  replaced(linkId: LinkId): void {
    const watch = this.#byLink.get(linkId)
    this.#byLink.delete(linkId)
    if (watch?.linkId === linkId) this.#drop(watch.nodeId)
  }

  /** A hint that this member may be gone: verified at once. */
  hint(nodeId: NodeId, bySignaling: boolean, now: number): void {
    const watch = this.#watches.get(nodeId)
    if (!watch) return
    if (bySignaling) this.inquiry.gone(nodeId)
    if (watch.phase === 'calm' && watch.linkId !== undefined) this.#ping(watch, now)
  }

  /** A member answered by signaling: it lives, only its link does not. */
  answeredBySignaling(nodeId: NodeId, now: number): void {
    const watch = this.#watches.get(nodeId)
    if (!watch || watch.phase === 'calm') return
    this.#evidence(watch, now)
    if (watch.linkId !== undefined) this.#options.onUseless(watch.linkId, now)
    else this.#watches.delete(nodeId)
  }

  onPing(linkId: LinkId, token: number, now: number): void {
    this.#options.outbox.frame(linkId, { kind: 'ack', token })
    const watch = this.#byLink.get(linkId)
    if (!watch) return
    // Its ping is no evidence, but a good moment to ask for some: both frames travel in one message.
    const { probeIntervalMs } = this.#options.tuning
    if (watch.phase === 'silent') this.#ping(watch, now, 'silent')
    else if (watch.phase === 'calm' && watch.due - now < probeIntervalMs / 2) this.#ping(watch, now)
  }

  onAck(linkId: LinkId, token: number, now: number): void {
    const watch = this.#byLink.get(linkId)
    const at = watch ? watch.probes.findIndex((probe) => probe.token === token) : -1
    if (!watch || at < 0) return
    const sample = now - watch.probes[at]!.sentAt
    watch.probes.splice(0, at + 1)
    watch.rttMs = smooth(watch.rttMs, sample)
    this.#revision++
    if (watch.phase === 'pinged') this.health.good()
    this.#evidence(watch, now)
    this.#answerErrands(watch.nodeId, true)
    this.#challenge(watch, now)
  }

  /** Another member asks whether we reach `subject`. */
  onProbe(linkId: LinkId, subject: NodeId, token: number, now: number): void {
    const watch = this.#watches.get(subject)
    if (!watch || watch.linkId === undefined) {
      this.#options.outbox.frame(linkId, { kind: 'probed', subject, token, alive: false })
      return
    }
    this.#errands.add(subject, { asker: linkId, token, until: now + 2 * this.#timeout(watch) })
    if (watch.phase !== 'pinged') this.#ping(watch, now, watch.phase)
  }

  /** A member that was asked reports. Only good news count: bad news are what we have ourselves. */
  onProbed(subject: NodeId, token: number, alive: boolean, now: number): void {
    const watch = this.#watches.get(subject)
    if (!watch || !alive || watch.phase !== 'asked' || token !== watch.asked) return
    // It lives; our way to it is what failed.
    this.health.bad()
    this.#vouch(watch, now)
  }

  notice(change: TableChange, now: number): void {
    const { nodeId, after } = change
    this.suspicions.notice(change, now)
    const watch = this.#watches.get(nodeId)
    const isOver = after === 'removed' || after === 'leaving'
    if (isOver || (after === 'unreachable' && watch?.linkId === undefined)) {
      this.#drop(nodeId)
      if (watch?.linkId !== undefined) this.#byLink.delete(watch.linkId)
      return
    }
    // A refutation came by some other way: it lives, and it is others that reach it.
    const incarnation = this.#options.table.get(nodeId)?.self?.incarnation ?? 0
    if (watch && incarnation > watch.accused) {
      watch.accused = Infinity
      watch.vouchedUntil = now + VOUCHED_MS
      if (watch.phase === 'asked' || watch.phase === 'silent') this.#vouch(watch, now)
    }
    // Whoever is suspected by others is looked at by all its neighbours, now.
    if (watch && watch.phase === 'calm' && this.suspicions.has(nodeId)) this.#ping(watch, now)
    if (watch && this.suspicions.has(nodeId) && watch.phase === 'silent') this.#accuse(watch, now)
    // Others count on the word of whoever is linked to it as far as they know: one without a link asks around.
    if (!watch && this.suspicions.has(nodeId) && isObserver(this.#options.table, nodeId))
      this.missed(nodeId, now)
  }

  tick(now: number, lateMs: number): void {
    if (lateMs > this.#options.tuning.lateMs) this.#wokeLate(now, lateMs)
    this.#followCutOff(now)
    for (const watch of this.#watches.values()) {
      if (now < watch.due || (lateMs > SLIGHTLY_LATE_MS && this.#reprieve(watch, now))) continue
      switch (watch.phase) {
        case 'calm':
          this.#ping(watch, now)
          break
        case 'pinged':
          this.#askOthers(watch, now)
          break
        case 'asked':
          this.#concludeSilence(watch, now)
          break
        case 'silent':
          this.#askOthers(watch, now)
          break
      }
    }
    this.#errands.tick(now)
    this.#followCutOff(now)
    this.suspicions.tick(now)
  }

  nextDeadline(): number {
    let next = this.suspicions.nextDeadline()
    for (const { due } of this.#watches.values()) if (due < next) next = due
    return next
  }

  #ping(watch: Watch, now: number, phase: Phase = 'pinged'): void {
    if (watch.linkId === undefined) return
    const token = ++this.#tokens
    watch.probes.push({ token, sentAt: now })
    if (watch.probes.length > OPEN_PROBES) watch.probes.shift()
    watch.phase = phase
    if (phase === 'pinged') {
      watch.due = now + this.#timeout(watch)
      watch.reprieved = false
    }
    this.#options.outbox.frame(watch.linkId, { kind: 'ping', token })
  }

  #askOthers(watch: Watch, now: number): void {
    const { outbox, table } = this.#options
    watch.phase = 'asked'
    if (watch.linkId !== undefined) this.#ping(watch, now, 'asked')
    watch.asked = ++this.#tokens
    // Without a link all depends on others, who have a way to go as well.
    watch.due = now + this.#timeout(watch) * (watch.linkId === undefined ? 2 : 1)
    watch.reprieved = false
    const short = table.get(watch.nodeId)?.short ?? 0
    const others = [...this.#watches.values()].filter(
      ({ nodeId, linkId, phase }) => linkId !== undefined && phase === 'calm' && nodeId !== watch.nodeId,
    )
    // Links are published some seconds after they were made, so nobody's may be known yet.
    const linked = others.filter(({ nodeId }) => table.get(nodeId)?.links.has(short))
    const able = linked.length > 0 ? linked : others
    for (let i = 0; i < HELPERS && able.length > 0; i++) {
      const [helper] = able.splice(Math.floor(this.#options.random() * able.length), 1)
      outbox.frame(helper!.linkId!, { kind: 'probe', subject: watch.nodeId, token: watch.asked })
    }
  }

  #mayConvict(nodeId: NodeId, now: number, since: number): boolean {
    if (now < this.#graceUntil) return false
    if (this.isCutOff && !this.inquiry.isLost(nodeId, now)) return false
    const watch = this.#watches.get(nodeId)
    // It has answered, and is shown what it is accused of: it will refute, or fall silent again.
    return !watch || watch.evidenceAt <= since || watch.phase === 'silent'
  }

  /** Once in each step of a round: this member was late itself, and the answer may be waiting to be read. */
  #reprieve(watch: Watch, now: number): boolean {
    if (watch.reprieved || (watch.phase !== 'pinged' && watch.phase !== 'asked')) return false
    watch.reprieved = true
    watch.due = now + this.#round / 2
    return true
  }

  #concludeSilence(watch: Watch, now: number): void {
    const { tuning } = this.#options
    watch.phase = 'silent'
    this.#accuse(watch, now)
    // It may come back any moment: the ping goes on.
    this.#ping(watch, now, 'silent')
    watch.due = now + tuning.probeIntervalMs
  }

  #accuse(watch: Watch, now: number): void {
    const { table } = this.#options
    const status = table.status(watch.nodeId)
    if (now < this.#graceUntil || now < watch.vouchedUntil) return
    if (status !== 'up' && status !== 'joining') return
    const { self, accusation } = table.get(watch.nodeId)!
    watch.accused = self!.incarnation
    if (!this.isCutOff) {
      // One more could not shorten the suspicion, but would be told to everybody.
      if (accusation?.incarnation === watch.accused && accusation.observers.length >= ENOUGH_OBSERVERS) return
      table.accuse(watch.nodeId, 'suspect', 'no answer')
      return
    }
    if (this.inquiry.isLost(watch.nodeId, now)) {
      table.accuse(watch.nodeId, 'unreachable', 'no answer on any way')
    } else {
      this.inquiry.ask(watch.nodeId, now)
    }
  }

  /** Others reach it. */
  #vouch(watch: Watch, now: number): void {
    this.inquiry.forget(watch.nodeId)
    if (watch.linkId === undefined) {
      this.#watches.delete(watch.nodeId)
      return
    }
    watch.phase = 'calm'
    watch.due = now + this.#options.tuning.probeIntervalMs
    watch.reachedAt ??= now
    if (now - watch.reachedAt > USELESS_MS) this.#options.onUseless(watch.linkId, now)
  }

  /** What was asked about it by signaling is of no use to a watch to come. */
  #drop(nodeId: NodeId): void {
    this.#watches.delete(nodeId)
    this.inquiry.forget(nodeId)
  }

  #evidence(watch: Watch, now: number): void {
    watch.evidenceAt = now
    watch.reachedAt = undefined
    // What was doubted is the way to it, and that works.
    watch.vouchedUntil = -Infinity
    watch.phase = 'calm'
    this.inquiry.forget(watch.nodeId)
    const { table, random, tuning } = this.#options
    const turn = compareNodeIds(table.own, watch.nodeId) < 0 ? 1 : SECOND_FACTOR
    watch.due = now + tuning.probeIntervalMs * turn * (0.9 + random() * 0.2)
  }

  /** A living member that is accused is shown so, and refutes. */
  #challenge(watch: Watch, now: number): void {
    const record = this.#options.table.get(watch.nodeId)
    if (!record?.accusation || watch.linkId === undefined || now - watch.challengedAt < CHALLENGE_MS) return
    watch.challengedAt = now
    this.#options.challenge(watch.linkId, watch.nodeId)
  }

  #answerErrands(subject: NodeId, alive: boolean): void {
    for (const { asker, token } of this.#errands.take(subject)) {
      // Whoever asked may be gone by now.
      if (!this.#byLink.has(asker)) continue
      this.#options.outbox.frame(asker, { kind: 'probed', subject, token, alive })
    }
  }

  /** Nobody else is to blame for time in which this member did not run. */
  #wokeLate(now: number, lateMs: number): void {
    this.health.bad()
    // Whoever is always late would never come to a verdict: its pace is what it has.
    const isPace = now - this.#lateAt < 2 * (lateMs + this.#options.tuning.lateMs)
    this.#lateAt = now
    this.suspicions.shift(lateMs)
    this.inquiry.shift(lateMs)
    let round = this.#round
    for (const watch of this.#watches.values()) {
      watch.evidenceAt += lateMs
      if (watch.reachedAt !== undefined) watch.reachedAt += lateMs
      // Late in the same step before: what waited then has been read since, and the step is over.
      if (isPace && watch.reprieved && watch.phase !== 'calm') continue
      if (watch.linkId === undefined) watch.due += lateMs
      else this.#ping(watch, now, watch.phase === 'asked' && isPace ? 'asked' : 'pinged')
      if (isPace && watch.phase === 'asked') watch.due = now + this.#timeout(watch)
      watch.reprieved = true
      round = Math.max(round, watch.due - now)
    }
    if (!isPace) this.#graceUntil = now + 2 * round
  }

  /** While this member was cut off, nobody could refute towards it: that time counts for nothing. */
  #followCutOff(now: number): void {
    const { isCutOff } = this
    if (isCutOff) this.#cutOffSince ??= now
    else if (this.#cutOffSince !== undefined) {
      this.suspicions.shift(now - this.#cutOffSince)
      this.#cutOffSince = undefined
      this.#graceUntil = Math.max(this.#graceUntil, now + 2 * this.#round)
    }
  }

  /** How long a probe waits for its answer where nothing is known of the way. */
  get #round(): number {
    return this.#options.tuning.probeTimeoutMs * this.health.multiplier
  }

  #timeout(watch: Watch): number {
    const { probeTimeoutMs } = this.#options.tuning
    // Whoever was never measured may be slow (RFC 6298 begins at a second, too).
    const usual = watch.rttMs === undefined ? 2 * probeTimeoutMs : Math.max(probeTimeoutMs, 3 * watch.rttMs)
    return usual * this.health.multiplier
  }
}

const smooth = (known: number | undefined, sample: number): number =>
  known === undefined ? sample : known + (sample > known ? ALPHA_LONGER : ALPHA) * (sample - known)
