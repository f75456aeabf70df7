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
import type { MembershipTable, TableChange } from '../membership/table.ts'
import type { Outbox } from '../outbox.ts'
import type { Random } from '../time.ts'
import type { Tuning } from '../tuning.ts'
import { LocalHealth } from './local-health.ts'
import { Suspicions } from './suspicions.ts'

export interface DetectorOptions {
  readonly table: MembershipTable
  readonly outbox: Outbox
  readonly random: Random
  readonly tuning: Tuning
  /** Shows a member what it is accused of, over its link. */
  readonly challenge: (linkId: LinkId, nodeId: NodeId) => void
  /** Asks a member by way of the signaling server for a sign of life. */
  readonly askBySignaling: (nodeId: NodeId) => void
  /** The link is useless though its member lives. */
  readonly onUseless: (linkId: LinkId, now: number) => void
}

/**
 * `calm`: evidence is fresh. `pinged`: an ack is awaited. `asked`: others try as well. `silent`: nobody got through.
 * The link may be gone while others are asked about its member.
 */
type Phase = 'calm' | 'pinged' | 'asked' | 'silent'

interface Watch {
  readonly nodeId: NodeId
  linkId: LinkId | undefined
  phase: Phase
  /** When it last acknowledged something of ours, or its link was made. */
  evidenceAt: number
  token: number
  sentAt: number
  due: number
  rttMs: number | undefined
  challengedAt: number
  /** Asked about by signaling since then; `Infinity` if not. */
  askedSignalingAt: number
  goneBySignaling: boolean
  /** The incarnation that was accused from here; a higher one refutes. */
  accused: number
  /** Others are known to reach it: it is not accused from here until then. */
  vouchedUntil: number
}

/** A question of another member: is this one there? */
interface Errand {
  readonly asker: LinkId
  readonly token: number
  readonly until: number
}

/** Weight of a new round trip (RFC 6298, section 2). */
const ALPHA = 1 / 8
/** How many others are asked to try (SWIM's k). */
const HELPERS = 3
/** Others' questions under way at once about one member. */
const MAX_ERRANDS = 64
/** A wake-up this much later than asked for was not attended time. */
const LATE_MS = 1_500
/** An unanswered question by signaling counts as silence after this long. */
const SIGNALING_PATIENCE_MS = 2_000
/** A link whose member lives, but not for us, is given up after this long. */
const USELESS_MS = 8_000
/** Whoever refuted an accusation from here is left to those who heard it for this long. */
const VOUCHED_MS = 10_000
/** A member is shown an accusation at most this often. */
const CHALLENGE_MS = 500

export class Detector {
  readonly health = new LocalHealth()
  readonly suspicions: Suspicions
  readonly #options: DetectorOptions
  readonly #watches = new Map<NodeId, Watch>()
  readonly #byLink = new Map<LinkId, Watch>()
  readonly #errands = new Map<NodeId, Errand[]>()
  #signalingUp = false
  #tokens = 0
  #revision = 0
  /** Nobody is accused before a whole round of probes after a late wake-up. */
  #graceUntil = 0

  constructor(options: DetectorOptions) {
    this.#options = options
    const { table, tuning } = options
    this.suspicions = new Suspicions(table, tuning, () => this.health.multiplier, {
      observersOf: (nodeId) => this.#possibleObservers(nodeId),
      mayConvict: (nodeId, now) =>
        now >= this.#graceUntil && (!this.isCutOff || this.#isSignalingsWord(nodeId, now)),
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

  /** Whether every watched member is silent. */
  get isCutOff(): boolean {
    if (this.#watches.size === 0) return false
    for (const { phase } of this.#watches.values()) if (phase === 'calm' || phase === 'pinged') return false
    return true
  }

  signaling(up: boolean): void {
    this.#signalingUp = up
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
      this.#watches.delete(nodeId)
      return
    }
    if (known && now < known.vouchedUntil) {
      this.#watches.delete(nodeId)
      return
    }
    const watch = known ?? newWatch(nodeId, now)
    watch.linkId = undefined
    this.#watches.set(nodeId, watch)
    if (watch.phase === 'calm' || watch.phase === 'pinged') this.#askOthers(watch, now)
  }

  /** A newer link to the same member takes the place of this one: what comes of that one, counts. */
  replaced(linkId: LinkId): void {
    const watch = this.#byLink.get(linkId)
    this.#byLink.delete(linkId)
    if (watch?.linkId === linkId) this.#watches.delete(watch.nodeId)
  }

  /** A hint that this member may be gone: verified at once. */
  hint(nodeId: NodeId, bySignaling: boolean, now: number): void {
    const watch = this.#watches.get(nodeId)
    if (!watch) return
    if (bySignaling) watch.goneBySignaling = true
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
    if (watch.phase === 'silent' || (watch.phase === 'calm' && watch.due - now < probeIntervalMs / 2)) {
      this.#ping(watch, now)
    }
  }

  onAck(linkId: LinkId, token: number, now: number): void {
    const watch = this.#byLink.get(linkId)
    if (!watch || token === 0 || watch.token !== token) return
    const sample = now - watch.sentAt
    watch.rttMs = watch.rttMs === undefined ? sample : watch.rttMs + ALPHA * (sample - watch.rttMs)
    watch.token = 0
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
    const errands = this.#errands.get(subject) ?? []
    if (errands.length < MAX_ERRANDS) {
      errands.push({ asker: linkId, token, until: now + 2 * this.#timeout(watch) })
      this.#errands.set(subject, errands)
    }
    if (watch.phase !== 'pinged') this.#ping(watch, now, watch.phase)
  }

  /** A member that was asked reports. Only good news count: bad news are what we have ourselves. */
  onProbed(subject: NodeId, token: number, alive: boolean, now: number): void {
    const watch = this.#watches.get(subject)
    if (!watch || !alive || watch.phase !== 'asked' || token !== watch.token) return
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
      this.#watches.delete(nodeId)
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
  }

  tick(now: number, lateMs: number): void {
    if (lateMs > LATE_MS) this.#wokeLate(now, lateMs)
    for (const watch of this.#watches.values()) {
      if (now < watch.due) continue
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
    for (const [subject, errands] of this.#errands) {
      if (errands.every(({ until }) => until <= now)) this.#errands.delete(subject)
    }
    this.suspicions.tick(now)
  }

  nextDeadline(): number {
    let next = this.suspicions.nextDeadline()
    for (const { due } of this.#watches.values()) if (due < next) next = due
    return next
  }

  #ping(watch: Watch, now: number, phase: Phase = 'pinged'): void {
    if (watch.linkId === undefined) return
    watch.token = ++this.#tokens
    watch.sentAt = now
    watch.phase = phase
    if (phase === 'pinged') watch.due = now + this.#timeout(watch)
    this.#options.outbox.frame(watch.linkId, { kind: 'ping', token: watch.token })
  }

  #askOthers(watch: Watch, now: number): void {
    const { outbox, table } = this.#options
    watch.phase = 'asked'
    if (watch.linkId !== undefined) this.#ping(watch, now, 'asked')
    else watch.token = ++this.#tokens
    watch.due = now + this.#timeout(watch)
    const short = table.get(watch.nodeId)?.short ?? 0
    const others = [...this.#watches.values()].filter(
      ({ nodeId, linkId, phase }) => linkId !== undefined && phase === 'calm' && nodeId !== watch.nodeId,
    )
    // Links are published some seconds after they were made, so nobody's may be known yet.
    const linked = others.filter(({ nodeId }) => table.get(nodeId)?.links.has(short))
    const able = linked.length > 0 ? linked : others
    for (let i = 0; i < HELPERS && able.length > 0; i++) {
      const [helper] = able.splice(Math.floor(this.#options.random() * able.length), 1)
      outbox.frame(helper!.linkId!, { kind: 'probe', subject: watch.nodeId, token: watch.token })
    }
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
    watch.accused = table.get(watch.nodeId)!.self!.incarnation
    if (!this.isCutOff) {
      table.accuse(watch.nodeId, 'suspect', 'no answer')
      return
    }
    if (!this.#signalingUp) return
    if (this.#isSignalingsWord(watch.nodeId, now)) {
      table.accuse(watch.nodeId, 'unreachable', 'no answer on any way')
    } else if (watch.askedSignalingAt === Infinity) {
      watch.askedSignalingAt = now
      this.#options.askBySignaling(watch.nodeId)
    }
  }

  /** Others reach it. */
  #vouch(watch: Watch, now: number): void {
    watch.askedSignalingAt = Infinity
    if (watch.linkId === undefined) {
      this.#watches.delete(watch.nodeId)
      return
    }
    watch.phase = 'calm'
    watch.due = now + this.#options.tuning.probeIntervalMs
    if (now - watch.evidenceAt > USELESS_MS) this.#options.onUseless(watch.linkId, now)
  }

  /** The signaling server says that the member is gone, or the member did not answer through it. */
  #isSignalingsWord(nodeId: NodeId, now: number): boolean {
    const watch = this.#watches.get(nodeId)
    if (!watch || !this.#signalingUp) return false
    return watch.goneBySignaling || now - watch.askedSignalingAt >= SIGNALING_PATIENCE_MS
  }

  #evidence(watch: Watch, now: number): void {
    watch.evidenceAt = now
    watch.phase = 'calm'
    watch.askedSignalingAt = Infinity
    watch.goneBySignaling = false
    const { probeIntervalMs } = this.#options.tuning
    watch.due = now + probeIntervalMs * (0.9 + this.#options.random() * 0.2)
  }

  /** A living member that is accused is shown so, and refutes. */
  #challenge(watch: Watch, now: number): void {
    const record = this.#options.table.get(watch.nodeId)
    if (!record?.accusation || watch.linkId === undefined || now - watch.challengedAt < CHALLENGE_MS) return
    watch.challengedAt = now
    this.#options.challenge(watch.linkId, watch.nodeId)
  }

  #answerErrands(subject: NodeId, alive: boolean): void {
    const errands = this.#errands.get(subject)
    if (!errands) return
    this.#errands.delete(subject)
    for (const { asker, token } of errands) {
      // Whoever asked may be gone by now.
      if (!this.#byLink.has(asker)) continue
      this.#options.outbox.frame(asker, { kind: 'probed', subject, token, alive })
    }
  }

  /** Nobody else is to blame for time in which this member did not run. */
  #wokeLate(now: number, lateMs: number): void {
    this.health.bad()
    this.suspicions.shift(lateMs)
    let round = 0
    for (const watch of this.#watches.values()) {
      if (watch.linkId === undefined) {
        watch.due += lateMs
        continue
      }
      watch.evidenceAt += lateMs
      watch.askedSignalingAt += lateMs
      this.#ping(watch, now)
      round = Math.max(round, watch.due - now)
    }
    this.#graceUntil = now + 2 * round
  }

  #timeout(watch: Watch): number {
    const { probeTimeoutMs } = this.#options.tuning
    return Math.max(probeTimeoutMs, 3 * (watch.rttMs ?? 0)) * this.health.multiplier
  }

  /** Members that could observe the subject's silence: up, not suspected, and linked to it by their own or its word. */
  #possibleObservers(subject: NodeId): number {
    const { table } = this.#options
    const record = table.get(subject)
    if (!record) return 1
    let count = this.#watches.has(subject) ? 1 : 0
    for (const nodeId of table.live()) {
      if (nodeId === subject || nodeId === table.own) continue
      const other = table.get(nodeId)!
      if (other.accusation) continue
      if (other.links.has(record.short) || record.links.has(other.short)) count++
    }
    return count
  }
}

const newWatch = (nodeId: NodeId, now: number): Watch => ({
  nodeId,
  linkId: undefined,
  phase: 'calm',
  evidenceAt: now,
  token: 0,
  sentAt: 0,
  due: now,
  rttMs: undefined,
  challengedAt: -Infinity,
  askedSignalingAt: Infinity,
  goneBySignaling: false,
  accused: Infinity,
  vouchedUntil: 0,
})
