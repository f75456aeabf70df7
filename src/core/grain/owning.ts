/**
 * The owner's side of a partition: PacificA's primary (Lin et al., 2008). It gives each change a number, has every
 * process in sync store it, and acknowledges what all have. A new owner first makes its replicas equal to itself: what
 * both have gone through together is the same (`fork.ts`), so only keys that changed after that need to travel. It lets
 * go who is silent, takes in who is wanted, and hands over.
 *
 * An addition counts from the moment it is asked for, a removal from the moment it is told: whoever could be in sync by
 * now must have stored what is acknowledged, and must have granted the right.
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { Now } from '../time.ts'
import { CopyOut } from './copy-out.ts'
import { HeldPartition } from './held-partition.ts'
import type { KeyContent } from './held-partition.ts'
import type { At, CopiedItem, StandingItem, StoredItem } from './messages.ts'
import type { Part, Peer, Tenure, Workshop } from './part.ts'
import { neededBy } from './part.ts'
import type { KeyChange } from './key-contents.ts'
import { MAX_HOLDERS } from '../partition/partition.ts'
import type { MapEntry } from '../partition/partition.ts'

const MOST_FAILURES = 6
/** On the wire, about. */
const TENURE_BYTES = 6

export class Owning {
  readonly #shop: Workshop
  #attempts = 0
  /** Copies with content that are under way, and partitions that wait for their turn. */
  readonly #copying = new Set<CopyOut>()
  readonly #waiting = new Set<Part>()
  #surplusAt = -Infinity
  #surplusTurn = -Infinity

  constructor(shop: Workshop) {
    this.#shop = shop
  }

  /** The map has told of another entry. */
  onEntry(part: Part, before: MapEntry | undefined, now: Now): void {
    const { own, isLeaving, tuning } = this.#shop
    const entry = part.entry!
    const { tenure } = part
    const left = entry.inSync.length
    if (before && left > 1 && left < before.inSync.length) part.takeInAt = now.mono + tuning.takeInMs
    if (entry.owner !== own) {
      if (tenure) for (const peer of tenure.peers.values()) this.#endCopy(peer)
      part.tenure = undefined
      return
    }
    // Where an epoch was skipped, another may have owned in between.
    const isNext = before?.owner === own && entry.epoch === before.epoch + 1 && entry.born === before.born
    if (!tenure || !isNext || (tenure.isReleased && !isLeaving())) return this.#begin(part)
    for (const peer of tenure.peers.values()) {
      if (entry.inSync.includes(peer.process)) continue
      if (before.inSync.includes(peer.process)) this.#letGo(part, peer, now)
    }
    this.#claimStrangers(tenure, entry)
    for (const peer of tenure.peers.values()) {
      if (peer.state === 'claimed') peer.askedAt = -Infinity
      // What went with the epoch before may have been refused, and a learner must confirm at each.
      else if (peer.state === 'synced') this.#ask(part, peer, 'where', now)
    }
    if (tenure.isReleased) this.#tellReleased(part)
  }

  /** Whether handlers may run, leases aside. */
  isReady(part: Part): boolean {
    const { tenure, entry } = part
    return (
      tenure !== undefined &&
      !tenure.isTakingOver &&
      !tenure.isReleased &&
      tenure.movingTo === undefined &&
      entry!.epoch >= part.floor
    )
  }

  /**
   * Replicas that beacons go to: those whose lease is needed, and those that will be needed soon. `undefined` for the
   * council's leader, where this process may be alone in sync.
   */
  lessorsOf(part: Part): readonly (ProcessId | undefined)[] {
    const { tenure, entry, proposal } = part
    if (!tenure || tenure.isReleased) return NOBODY
    const lessors: (ProcessId | undefined)[] = [...neededBy(part, this.#shop.own)]
    for (const { process, state } of tenure.peers.values())
      if (state === 'synced' && !lessors.includes(process)) lessors.push(process)
    const { length } = entry!.inSync
    if (length === 1 || (length === 2 && proposal?.wish.remove !== undefined)) lessors.push(undefined)
    return lessors
  }

  append(part: Part, key: string, change: KeyChange, now: Now): number {
    const { mail } = this.#shop
    const copy = part.copy!
    copy.apply(part.entry!.epoch, key, change)
    const { number, acked, tenure } = copy
    const { id: partition } = part
    const { epoch } = part.entry!
    let bytes = change.state?.length ?? 0
    for (const { outcome } of change.records) bytes += outcome.bytes?.length ?? 0
    for (const peer of part.tenure!.peers.values()) {
      if (peer.state !== 'synced') continue
      mail.put(peer.process, 'store', { partition, epoch, tenure, number, acked, key, change }, bytes)
      peer.underWay += bytes
      if (peer.quietSince === undefined) {
        peer.quietSince = now.mono
        peer.askedAt = now.mono
      }
    }
    this.#shop.touch(part)
    return number
  }

  onStored(from: ProcessId, part: Part, item: StoredItem, now: Now): void {
    const peer = this.#peer(from, part, item, now)
    if (!peer) return this.#dismiss(from, part, item)
    const copy = part.copy!
    if (item.tenure !== copy.tenure) {
      // It has no copy of this history: one that was asked to keep it would be a fault of its own.
      if (peer.state === 'synced') this.#lost(part, peer)
      return
    }
    if (peer.state === 'copying' || item.number > copy.number) return
    peer.state = 'synced'
    peer.confirmed = item.epoch
    peer.stored = Math.max(peer.stored, item.number)
    peer.quietSince = peer.stored < copy.number ? now.mono : undefined
    if (peer.quietSince === undefined) peer.underWay = 0
    peer.wantsFrom = item.wants ? item.number : undefined
    this.#shop.touch(part)
  }

  onStanding(from: ProcessId, part: Part, item: StandingItem, now: Now): void {
    const peer = this.#peer(from, part, item, now)
    if (!peer || peer.state !== 'claimed') return
    peer.standing = item
    peer.quietSince = now.mono
    this.#shop.touch(part)
  }

  onCopied(from: ProcessId, part: Part, item: CopiedItem, now: Now): void {
    const peer = this.#peer(from, part, item, now)
    if (!peer?.copy || item.attempt !== peer.copy.attempt) return
    this.#shop.touch(part)
    if (item.result === 'again' || item.result === 'full') {
      this.#failed(part, peer, now, item.result)
      return
    }
    peer.copy.arrived(item.index, now.mono)
    peer.quietSince = undefined
    if (item.result !== 'whole' || !peer.copy.isWhole) return
    const number = peer.copy.base
    this.#endCopy(peer)
    peer.state = 'synced'
    peer.stored = number
    peer.confirmed = item.epoch
    part.tenure!.waits.delete(peer.process)
    const copy = part.copy!
    if (number < copy.number) {
      peer.quietSince = now.mono
      this.#repair(part, peer, number, copy.changedAfter(number))
    }
  }

  /** Decides what is to be done about the partition. Returns when to look again if nothing happens. */
  look(part: Part, now: Now): number {
    const tenure = part.tenure!
    for (const peer of tenure.peers.values()) this.#answer(part, peer)
    this.#advance(part, tenure)
    if (tenure.isReleased) return this.#lookReleased(part, tenure, now)
    let due = Infinity
    for (const peer of tenure.peers.values()) due = Math.min(due, this.#lookAt(part, tenure, peer, now))
    if (tenure.isTakingOver) return due
    due = Math.min(due, this.#takeIn(part, tenure, now))
    due = Math.min(due, this.#letSurplusGo(part, now))
    tenure.movingTo ??= this.#hostInstead(part)
    if (tenure.movingTo !== undefined) due = Math.min(due, this.#move(part, tenure, tenure.movingTo, now))
    return due
  }

  release(part: Part, now: Now): void {
    const tenure = part.tenure!
    tenure.isReleased = true
    this.#tellReleased(part)
    const { own, isLive } = this.#shop
    const isAlone = part.entry!.inSync.every((process) => process === own || !isLive(process))
    if (isAlone) this.#handOver(part, now)
    this.#shop.touch(part)
  }

  /** Time in which this process did not run counts for nobody's silence. */
  shift(part: Part, lateMs: number): void {
    for (const peer of part.tenure?.peers.values() ?? []) {
      if (peer.quietSince !== undefined) peer.quietSince += lateMs
      if (peer.copy) peer.copy.progressAt += lateMs
    }
  }

  #begin(part: Part): void {
    const entry = part.entry!
    if (part.tenure) for (const peer of part.tenure.peers.values()) this.#endCopy(peer)
    part.copy ??= new HeldPartition(entry.born)
    part.copy.begin(part.group!, entry.epoch)
    part.tenure = {
      since: entry.epoch,
      peers: new Map(),
      waits: new Map(),
      isTakingOver: false,
      movingTo: undefined,
      isReleased: false,
    }
    this.#claimStrangers(part.tenure, entry)
  }

  #claimStrangers(tenure: Tenure, entry: MapEntry): void {
    for (const process of entry.inSync) {
      if (process === this.#shop.own) continue
      const known = tenure.peers.get(process)
      if (known && known.state !== 'copying') continue
      if (known) this.#endCopy(known)
      tenure.peers.set(process, newPeer(process, 'claimed'))
      tenure.isTakingOver = true
    }
  }

  #peer(from: ProcessId, part: Part, { epoch }: At, now: Now): Peer | undefined {
    if (epoch > part.entry!.epoch) this.#shop.askMap(part, now)
    return epoch === part.entry!.epoch ? part.tenure?.peers.get(from) : undefined
  }

  #advance(part: Part, tenure: Tenure): void {
    const copy = part.copy!
    const { own, onStored } = this.#shop
    if (tenure.isTakingOver) {
      for (const { state } of tenure.peers.values()) if (state === 'claimed') return
      tenure.isTakingOver = false
    }
    let number = copy.number
    for (const process of neededBy(part, own))
      number = Math.min(number, tenure.peers.get(process)?.stored ?? -1)
    const hasGrown = copy.ack(number)
    let needed = copy.acked
    for (const peer of tenure.peers.values())
      needed = Math.min(needed, peer.copy ? peer.copy.base : peer.stored)
    copy.collect(needed)
    if (hasGrown) onStored(part.id, copy.acked)
  }

  /** One replica or learner: asked again, let go, or added. */
  #lookAt(part: Part, tenure: Tenure, peer: Peer, now: Now): number {
    const { isLive, targets, tuning, beacons } = this.#shop
    const { process } = peer
    const isInSync = part.entry!.inSync.includes(process)
    if (
      !isInSync &&
      part.proposal?.wish.add !== process &&
      !(isLive(process) && targets(part.id).includes(process))
    ) {
      this.#letGo(part, peer, now)
      return Infinity
    }
    if (peer.state === 'copying') return this.#pump(part, peer, now)
    let due = Infinity
    if (peer.state === 'claimed' || peer.quietSince !== undefined) {
      if (now.mono >= peer.askedAt + tuning.askAgainMs)
        this.#ask(part, peer, peer.state === 'claimed' ? 'claim' : 'where', now)
      due = peer.askedAt + tuning.askAgainMs
    }
    if (isInSync) return Math.min(due, this.#watch(part, peer, now))
    // A learner that can be counted on becomes a replica.
    const isUpToDate = peer.stored >= part.copy!.acked && peer.confirmed === part.entry!.epoch
    const isGranting = !part.isAwake || tenure.isReleased || beacons.isHeld(process, at(part), now)
    const hasPlace = part.entry!.inSync.length < MAX_HOLDERS
    if (isUpToDate && isGranting && hasPlace && part.proposal?.wish.add !== process)
      return Math.min(due, this.#propose(part, { add: process }, now))
    if (peer.confirmed !== part.entry!.epoch && peer.quietSince === undefined)
      this.#ask(part, peer, 'where', now)
    if (peer.quietSince !== undefined && now.mono >= peer.quietSince + 2 * tuning.silenceMs) {
      this.#failed(part, peer, now)
      return now.mono + tuning.copyAgainMs
    }
    return due
  }

  /** A replica in sync that is silent holds everybody up. */
  #watch(part: Part, peer: Peer, now: Now): number {
    const { isLive, tuning, beacons } = this.#shop
    const beaconQuiet = part.isAwake ? beacons.quietSince(peer.process) : undefined
    const silentAt = Math.min(
      peer.quietSince === undefined ? Infinity : peer.quietSince + tuning.silenceMs + this.#sendMs(peer),
      beaconQuiet === undefined ? Infinity : beaconQuiet + tuning.beaconSilenceMs,
    )
    if (isLive(peer.process) && now.mono < silentAt) return silentAt
    return this.#propose(part, { remove: peer.process }, now)
  }

  /** A large change over a slow way takes its time; whether its receiver lives, beacons tell, which go past it. */
  #sendMs({ underWay }: Peer): number {
    const { slowestRate, slowestMs } = this.#shop.tuning
    return Math.min(slowestMs, (1_000 * underWay) / slowestRate)
  }

  #takeIn(part: Part, tenure: Tenure, now: Now): number {
    const { own, targets, isLive, tuning } = this.#shop
    if (now.mono < part.takeInAt) return part.takeInAt
    let due = Infinity
    for (const process of targets(part.id)) {
      if (process === own || tenure.peers.has(process) || !isLive(process)) continue
      const wait = tenure.waits.get(process)?.until ?? -Infinity
      if (now.mono < wait) {
        due = Math.min(due, wait)
        continue
      }
      if (!part.copy!.isEmpty && this.#copying.size >= tuning.copiesAtOnce) {
        this.#waiting.add(part)
        continue
      }
      const peer = newPeer(process, 'copying')
      peer.copy = new CopyOut(part.copy!, ++this.#attempts, now.mono)
      if (peer.copy.hasContent) this.#copying.add(peer.copy)
      tenure.peers.set(process, peer)
      due = Math.min(due, this.#pump(part, peer, now))
    }
    return due
  }

  #pump(part: Part, peer: Peer, now: Now): number {
    const { tuning, mail } = this.#shop
    const copy = peer.copy!
    if (now.mono >= copy.progressAt + tuning.copySilenceMs) {
      this.#failed(part, peer, now)
      return now.mono + tuning.copyAgainMs
    }
    while (!copy.isWhole && copy.underWay < tuning.copyWindow) {
      const { part: piece, bytes } = copy.next(part.copy!, tuning.copyPartBytes)
      mail.put(peer.process, 'copy', { ...at(part), attempt: copy.attempt, handed: false, ...piece }, bytes)
    }
    return copy.progressAt + tuning.copySilenceMs
  }

  /** Once all that are wanted are in sync, or one has no place, the others go, a batch at a time. */
  #letSurplusGo(part: Part, now: Now): number {
    const { own, targets, tuning } = this.#shop
    const { inSync } = part.entry!
    const wanted = targets(part.id)
    const surplus = inSync.find((process) => process !== own && !wanted.includes(process))
    if (surplus === undefined || wanted.length === 0) return Infinity
    if (inSync.length < MAX_HOLDERS && !wanted.every((process) => inSync.includes(process))) return Infinity
    if (part.tenure!.movingTo === surplus) return Infinity
    if (now.mono !== this.#surplusTurn) {
      if (now.mono < this.#surplusAt) return this.#surplusAt
      this.#surplusTurn = now.mono
      this.#surplusAt = now.mono + tuning.surplusMs
    }
    return this.#propose(part, { remove: surplus }, now)
  }

  /** Who owns what it cannot run holds it until a host does. */
  #hostInstead({ id, entry }: Part): ProcessId | undefined {
    const { mayOwn, hosts, isLive } = this.#shop
    if (mayOwn(id)) return undefined
    return hosts(id).find((host) => isLive(host) && entry!.inSync.includes(host))
  }

  #move(part: Part, tenure: Tenure, to: ProcessId, now: Now): number {
    const peer = tenure.peers.get(to)
    if (part.proposal) return Infinity
    if (!part.entry!.inSync.includes(to) || !peer || !this.#shop.isLive(to)) {
      tenure.movingTo = undefined
      return Infinity
    }
    return part.copy!.acked === part.copy!.number ? this.#propose(part, { owner: to }, now) : Infinity
  }

  #lookReleased(part: Part, tenure: Tenure, now: Now): number {
    const { isLeaving, own } = this.#shop
    // Back before anybody took it: at a new epoch what was released counts no more.
    if (!isLeaving()) return this.#propose(part, { owner: own }, now)
    let due = Infinity
    for (const peer of tenure.peers.values())
      if (peer.state === 'synced' && peer.quietSince !== undefined) {
        if (now.mono >= peer.askedAt + this.#shop.tuning.askAgainMs) this.#ask(part, peer, 'where', now)
        due = Math.min(due, peer.askedAt + this.#shop.tuning.askAgainMs)
      }
    return due
  }

  #tellReleased(part: Part): void {
    const item = { ...at(part), inUse: part.isActive }
    for (const process of neededBy(part, this.#shop.own)) this.#shop.mail.put(process, 'released', item)
  }

  /**
   * The only copy goes to somebody who may ask to own it, all at once: there may be no time for more. To one that is
   * linked, if there is one: on a longer way, word that this process is gone may overtake it.
   */
  #handOver(part: Part, now: Now): void {
    const { own, targets, hosts, isLive, isLinked, mail, tuning } = this.#shop
    const able = hosts(part.id)
    const heirs = [...targets(part.id), ...able].filter((process) => process !== own && isLive(process))
    const isAble = (process: ProcessId): boolean => able.includes(process)
    const heir =
      heirs.find((process) => isAble(process) && isLinked(process)) ?? heirs.find(isAble) ?? heirs[0]
    if (heir === undefined) return
    const copy = new CopyOut(part.copy!, ++this.#attempts, now.mono)
    while (!copy.isWhole) {
      const { part: piece, bytes } = copy.next(part.copy!, tuning.copyPartBytes)
      mail.put(heir, 'copy', { ...at(part), attempt: copy.attempt, handed: true, ...piece }, bytes)
    }
  }

  #propose(part: Part, wish: { add?: ProcessId; remove?: ProcessId; owner?: ProcessId }, now: Now): number {
    if (part.proposal) return Infinity
    if (now.mono < part.proposeAt) return part.proposeAt
    this.#shop.proposals.wish(part, wish)
    return Infinity
  }

  #ask(part: Part, peer: Peer, type: 'claim' | 'where', now: Now): void {
    peer.askedAt = now.mono
    peer.quietSince ??= now.mono
    if (type === 'where') return this.#shop.mail.put(peer.process, type, at(part))
    const { tenures, forgotten } = part.copy!
    const item = { ...at(part), forgotten, tenures }
    this.#shop.mail.put(peer.process, type, item, tenures.length * TENURE_BYTES)
  }

  /** One repair for everything that it has said in this turn. */
  #answer(part: Part, peer: Peer): void {
    const { standing, wantsFrom, state } = peer
    const copy = part.copy!
    peer.standing = undefined
    peer.wantsFrom = undefined
    if (standing && state === 'claimed') {
      const different = differentFrom(copy, standing)
      // What is the same needs no word that the repair has come: changes that follow come behind it.
      if (different.length === 0 && standing.number === copy.number) {
        peer.state = 'synced'
        peer.stored = standing.number
      }
      this.#repair(part, peer, standing.number, different)
    } else if (wantsFrom !== undefined && wantsFrom < copy.number && state === 'synced')
      this.#repair(part, peer, wantsFrom, copy.changedAfter(wantsFrom))
  }

  #repair(part: Part, peer: Peer, from: number, keys: readonly { readonly key: string }[]): void {
    const copy = part.copy!
    const entries: KeyContent[] = keys.map(({ key }) => copy.contentOf(key))
    const bytes = keys.reduce((sum, { key }) => sum + copy.weightOf(key), 0)
    const { tenure, number, acked, forgotten, tenures } = copy
    const item = { ...at(part), tenure, from, number, acked, forgotten, tenures, entries }
    this.#shop.mail.put(peer.process, 'repair', item, bytes)
  }

  /** It says that it has no copy of this history. */
  #lost(part: Part, peer: Peer): void {
    const tenure = part.tenure!
    this.#shop.touch(part)
    if (neededBy(part, this.#shop.own).includes(peer.process)) {
      tenure.peers.set(peer.process, newPeer(peer.process, 'claimed'))
      tenure.isTakingOver = true
    } else tenure.peers.delete(peer.process)
  }

  #failed(part: Part, peer: Peer, now: Now, why: 'silent' | 'again' | 'full' = 'silent'): void {
    const { waits, peers } = part.tenure!
    const failures =
      why === 'full' ? MOST_FAILURES : Math.min(MOST_FAILURES, (waits.get(peer.process)?.failures ?? -1) + 1)
    // A newcomer that was sent a copy before it had the map asks for it once it has: there is nothing to wait for.
    const pause = why === 'again' && failures === 0 ? 0 : this.#shop.tuning.copyAgainMs * 2 ** failures
    waits.set(peer.process, { until: now.mono + pause, failures })
    this.#endCopy(peer)
    peers.delete(peer.process)
  }

  #letGo(part: Part, peer: Peer, now: Now): void {
    const { isLive, mail, targets, tuning } = this.#shop
    this.#endCopy(peer)
    part.tenure!.peers.delete(peer.process)
    if (!isLive(peer.process)) return
    if (targets(part.id).includes(peer.process))
      part.tenure!.waits.set(peer.process, { until: now.mono + tuning.copyAgainMs, failures: 0 })
    else mail.put(peer.process, 'drop', at(part))
  }

  /** It keeps a copy that nobody counts on, and asks by telling of it. */
  #dismiss(from: ProcessId, part: Part, { epoch }: At): void {
    if (epoch !== part.entry!.epoch || neededBy(part, this.#shop.own).includes(from)) return
    this.#shop.mail.put(from, 'drop', at(part))
  }

  #endCopy(peer: Peer): void {
    if (!peer.copy) return
    if (this.#copying.delete(peer.copy)) {
      for (const part of this.#waiting) this.#shop.touch(part)
      this.#waiting.clear()
    }
    peer.copy = undefined
  }
}

const NOBODY: readonly ProcessId[] = []

const at = (part: Part): At => ({ partition: part.id, epoch: part.entry!.epoch })

/** Keys that a copy that stands there may have otherwise. */
function differentFrom(copy: HeldPartition, { keys, since, common }: StandingItem): { key: string }[] {
  const theirs = new Map(keys.map((stamp) => [stamp.key, stamp]))
  const all = new Set([...theirs.keys(), ...copy.changedAfter(since).map(({ key }) => key)])
  const different: { key: string }[] = []
  for (const key of all) {
    const own = copy.stampOf(key)
    const other = theirs.get(key)
    // What is no more common is different, even where two councils have given one epoch and number.
    if (own.number !== (other?.number ?? -1) || own.epoch !== other?.epoch || own.number > common)
      different.push({ key })
  }
  return different
}

const newPeer = (process: ProcessId, state: Peer['state']): Peer => ({
  process,
  state,
  stored: -1,
  confirmed: 0,
  quietSince: undefined,
  underWay: 0,
  askedAt: -Infinity,
  copy: undefined,
  standing: undefined,
  wantsFrom: undefined,
})
