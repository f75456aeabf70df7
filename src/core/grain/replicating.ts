/**
 * The replica's side of a partition: PacificA's secondary. It takes changes without a gap from the owner that the map
 * names, at the epoch that the map tells, and from nobody else. What comes for an epoch that is not known yet is not
 * kept, only that it came: once the map has told, the owner is asked for it. And it asks to take over where the owner
 * is gone.
 */
import type { ProcessId } from '../identity/node-id.ts'
import type { Now } from '../time.ts'
import { commonUpTo } from './fork.ts'
import { HeldPartition } from './held-partition.ts'
import { Inheriting } from './inheriting.ts'
import type { At, ClaimItem, CopyItem, ReleasedItem, RepairItem, StoreItem } from './messages.ts'
import type { Missed, Part, Workshop } from './part.ts'
import type { MapEntry } from '../partition/partition.ts'
import { rankAmong } from '../partition/placement.ts'

/**
 * Of `stateBytes`, for changes of what is held already: an owner that keeps to its own limit does not know what its
 * replicas hold for others, and with one that refuses a change it loses a copy of all that came before.
 */
const SYNC_SHARE = 2
const OTHER: Missed = { type: 'other' }

export class Replicating {
  readonly #shop: Workshop
  readonly #inheriting: Inheriting

  constructor(shop: Workshop) {
    this.#shop = shop
    this.#inheriting = new Inheriting(shop)
  }

  onEntry(part: Part, before: MapEntry | undefined, now: Now): void {
    const { own, beacons } = this.#shop
    const entry = part.entry!
    if (before?.owner !== undefined && before.owner !== own && before.owner !== entry.owner)
      beacons.depose(before.owner, part.id, entry.epoch)
    const isInSync = entry.inSync.includes(own)
    // Another history: what is held belongs to none that goes on. Whoever is back in one counts with what it had there.
    if (isInSync && part.copy?.born !== entry.born)
      part.copy = this.#shop.kept(part)?.split() ?? new HeldPartition(entry.born)
    if (before?.owner !== entry.owner) {
      part.noticedAt = undefined
      part.isSought = false
    }
    if (part.staging && (part.staging.from !== entry.owner || isInSync)) part.staging = undefined
    part.staleSince = now.mono
    part.lacking = 0
    if (before) part.handed = movedOn(part.handed, before, entry)
    this.#takeUp(part, now)
    this.#makeUp(part)
  }

  onStore(from: ProcessId, part: Part, item: StoreItem, now: Now): void {
    const copy = part.copy
    if (!this.#isCurrent(from, part, item, now) || !copy) return
    part.staleSince = now.mono
    if (item.tenure !== copy.tenure || item.number > copy.number + 1) {
      if (part.wants) return
      part.wants = true
    } else if (item.number === copy.number + 1) {
      if (!this.#hasRoom(part, copy.growthOf(item.key, item.change))) return
      copy.apply(item.epoch, item.key, item.change)
      part.wants = false
      this.#learnAcked(copy, item.acked)
    }
    this.#owe(part)
  }

  /** Also of what it has no copy of: the owner must know. */
  onWhere(from: ProcessId, part: Part, item: At, now: Now): void {
    if (!this.#isCurrent(from, part, item, now) || !this.#hasRoom(part, part.lacking)) return
    part.wants = true
    part.staleSince = now.mono
    this.#owe(part)
  }

  onClaim(from: ProcessId, part: Part, item: ClaimItem, now: Now): void {
    if (!this.#isCurrent(from, part, item, now, { type: 'claim', from, item })) return
    if (this.#hasRoom(part, part.lacking)) this.#oweStanding(part, item)
  }

  onRepair(from: ProcessId, part: Part, item: RepairItem, now: Now): void {
    const copy = part.copy
    if (!this.#isCurrent(from, part, item, now) || !copy) return
    part.staleSince = now.mono
    if (copy.number === item.from) {
      if (!copy.isCredible(item.number, item.entries)) return
      if (!this.#hasRoom(part, copy.growthBy(item.entries))) return
      copy.replace(item.entries)
      copy.standAt(item.number)
      copy.forget(item.forgotten)
      copy.tenure = item.tenure
      copy.tenures = item.tenures
      part.wants = false
      this.#learnAcked(copy, item.acked)
    }
    this.#owe(part)
  }

  onCopy(from: ProcessId, part: Part, item: CopyItem, now: Now): void {
    const { own, bytes, tuning, mail } = this.#shop
    const { attempt, index, end } = item
    if (item.handed) this.#inheriting.setAside(from, part, item, now)
    if (!this.#isCurrent(from, part, item, now, { type: 'copy', attempt })) return
    // Nobody replaces what may be the only copy of something acknowledged.
    if (part.entry!.inSync.includes(own)) return
    part.staleSince = now.mono
    const at = { partition: part.id, epoch: item.epoch, attempt, index }
    if (index === 0) part.staging = { from, attempt, next: 0, held: new HeldPartition(part.entry!.born) }
    const { staging } = part
    if (!staging || staging.attempt !== attempt || staging.next !== index) {
      if (part.refusedAttempt === attempt) return
      part.refusedAttempt = attempt
      part.staging = undefined
      mail.put(from, 'copied', { ...at, result: 'again' })
      return
    }
    staging.next++
    staging.held.replace(item.entries)
    const replaced = part.copy?.bytes ?? 0
    const isCredible = !end || staging.held.isCredible(end.number, staging.held.changedAfter(end.number))
    if (!isCredible || bytes(part) - replaced > tuning.stateBytes) {
      part.refusedAttempt = attempt
      part.staging = undefined
      mail.put(from, 'copied', { ...at, result: 'full' })
      return
    }
    if (!end) {
      mail.put(from, 'copied', { ...at, result: 'part' })
      return
    }
    staging.held.standAt(end.number)
    // Of what is deleted nothing is sent.
    staging.held.forget(end.number)
    staging.held.tenure = end.tenure
    staging.held.tenures = end.tenures
    this.#learnAcked(staging.held, end.acked)
    part.copy = staging.held
    part.staging = undefined
    part.wants = false
    if (item.handed) part.handed = { from, epoch: item.epoch }
    part.promised = item.epoch
    mail.put(from, 'copied', { ...at, result: 'whole' })
    this.#shop.touch(part)
  }

  onDrop(from: ProcessId, part: Part, item: At, now: Now): void {
    if (!this.#isCurrent(from, part, item, now) || part.entry!.inSync.includes(this.#shop.own)) return
    this.#giveBack(part)
  }

  /** It may come before the map tells that the sender owns. */
  onReleased(from: ProcessId, part: Part, { epoch, inUse }: ReleasedItem, now: Now): void {
    if (part.entry && epoch <= part.entry.epoch && part.entry.owner !== from) return
    part.released = { from, epoch, inUse }
    if (inUse || part.isSought) this.#shop.touch(part)
    else this.#shop.touchSoon(now)
  }

  /** Whether the owner's right is over, by waiting or by proof. */
  canTakeOver(part: Part, now: Now): boolean {
    const owner = part.entry?.owner
    if (owner === undefined || owner === this.#shop.own || !part.entry!.inSync.includes(this.#shop.own))
      return false
    return this.#isProven(part, owner) || now.mono >= this.#shop.beacons.patienceEndsAt(owner)
  }

  /** Decides what is to be done about the partition. Returns when to look again if nothing happens. */
  look(part: Part, now: Now): number {
    const due = this.#inheriting.look(part, now)
    return part.entry ? Math.min(due, this.#lookAt(part, now)) : due
  }

  /** Something of it waits for the map. */
  isAwaited(part: Part): boolean {
    return this.#inheriting.isWaiting(part)
  }

  #lookAt(part: Part, now: Now): number {
    const { own, proposals, tuning } = this.#shop
    const entry = part.entry!
    if (part.claim) this.#stand(part, part.claim)
    if (part.owesStored) this.#answer(part)
    if (entry.owner === own) return Infinity
    if (entry.inSync.includes(own)) return this.#seek(part, now)
    const { handed } = part
    if (handed && handed.from === entry.owner && handed.epoch === entry.epoch) {
      if (part.proposal || !this.#shop.mayOwn(part.id)) return Infinity
      if (now.mono < part.proposeAt) return part.proposeAt
      proposals.wish(part, { add: own, owner: own, remove: handed.from })
      return Infinity
    }
    return this.#age(part, now, tuning.staleMs)
  }

  /** Asks to take over from an owner that is gone. */
  #seek(part: Part, now: Now): number {
    const { own, isLive, isLeaving, beacons, proposals, tuning } = this.#shop
    const entry = part.entry!
    const { owner, inSync } = entry
    if (owner === undefined || part.proposal) return Infinity
    const isProven = this.#isProven(part, owner)
    if (isLeaving() || (isLive(owner) && !isProven) || !this.#isHeir(part, owner)) {
      part.noticedAt = undefined
      return Infinity
    }
    part.noticedAt ??= now.mono
    const others = inSync.filter((process) => process !== owner && (process === own || isLive(process)))
    const turn = rankAmong(part.id, own, others) * tuning.takeoverSpreadMs
    const patient = isProven ? -Infinity : beacons.patienceEndsAt(owner)
    const seekAt = Math.max(patient, part.noticedAt + turn, part.proposeAt)
    if (now.mono < seekAt) return seekAt
    proposals.wish(part, { owner: own, remove: owner })
    return Infinity
  }

  /**
   * Whether this process may take over. One that cannot run the kind does so for others, where nobody in sync can: it
   * is the way to a host, which it takes in and hands over to.
   */
  #isHeir({ id, entry }: Part, owner: ProcessId): boolean {
    const { mayOwn, hosts, isLive } = this.#shop
    if (mayOwn(id)) return true
    const able = hosts(id)
    return (
      able.length > 0 && !able.some((host) => host !== owner && isLive(host) && entry!.inSync.includes(host))
    )
  }

  /** A copy that no owner counts on is given back after a while. */
  #age(part: Part, now: Now, staleMs: number): number {
    if (!part.copy && !part.staging) return Infinity
    if (now.mono < part.staleSince + staleMs) return part.staleSince + staleMs
    // The owner may have asked to add this process, and the council may not have decided: only the owner knows.
    if (part.copy && part.entry!.epoch <= part.promised) {
      part.staleSince = now.mono
      this.#answer(part)
      return part.staleSince + staleMs
    }
    this.#giveBack(part)
    return Infinity
  }

  #giveBack(part: Part): void {
    part.copy = undefined
    part.staging = undefined
    part.handed = undefined
    this.#shop.touch(part)
  }

  #isProven(part: Part, owner: ProcessId): boolean {
    const { released, entry } = part
    return (released?.from === owner && released.epoch === entry!.epoch) || this.#shop.isOver(owner)
  }

  /**
   * Where there is none, this replica says nothing of the partition until there is: so its owner goes on without it, as
   * without any that is silent.
   */
  #hasRoom(part: Part, growth: number): boolean {
    const { bytes, tuning } = this.#shop
    part.lacking = growth > 0 && bytes(part) + growth > SYNC_SHARE * tuning.stateBytes ? growth : 0
    return part.lacking === 0
  }

  /** Only from the owner at the present epoch. Who is behind is told so; what is ahead is asked for later. */
  #isCurrent(from: ProcessId, part: Part, { epoch }: At, now: Now, missed: Missed = OTHER): boolean {
    const known = part.entry?.epoch ?? 0
    if (epoch > known) {
      part.missed = missed
      this.#shop.askMap(part, now)
      return false
    }
    if (epoch < known) {
      this.#shop.mail.put(from, 'stale', { partition: part.id, epoch: known })
      return false
    }
    return part.entry!.owner === from
  }

  #takeUp(part: Part, now: Now): void {
    const items = this.#inheriting.take(part)
    if (items.length > 0) part.missed = undefined
    for (const item of items) this.onCopy(part.entry!.owner!, part, item, now)
  }

  /** Something came before the map told of its epoch. */
  #makeUp(part: Part): void {
    const { missed } = part
    const { owner, epoch, inSync } = part.entry!
    part.missed = undefined
    if (!missed || owner === undefined || owner === this.#shop.own) return
    if (missed.type === 'claim') {
      // What both have in common only the tenures of the present owner tell; it claims again.
      const isOfOwner = missed.from === owner && missed.item.epoch === epoch
      if (isOfOwner && inSync.includes(this.#shop.own)) this.#oweStanding(part, missed.item)
    } else if (missed.type === 'copy') {
      const { attempt } = missed
      part.refusedAttempt = attempt
      part.staging = undefined
      this.#shop.mail.put(owner, 'copied', { partition: part.id, epoch, attempt, index: 0, result: 'again' })
    } else if (part.copy) {
      part.wants = true
      this.#owe(part)
    }
  }

  /**
   * Tells what this copy may have that the owner's has not, and stamps of all that may differ otherwise. Where either
   * has forgotten what it deleted since, that is everything.
   */
  #stand(part: Part, claim: ClaimItem): void {
    const { owner, epoch, inSync, born } = part.entry!
    const { tenures, forgotten } = claim
    part.claim = undefined
    // Whoever owns it by now claims again.
    if (claim.epoch !== epoch || !inSync.includes(this.#shop.own)) return
    const copy = (part.copy ??= new HeldPartition(born))
    const { number } = copy
    const common = commonUpTo(copy, tenures)
    const since = common < Math.max(forgotten, copy.forgotten) ? 0 : common
    const keys = copy.changedAfter(since)
    this.#shop.mail.put(
      owner!,
      'standing',
      { partition: part.id, epoch, number, common, since, keys },
      keys.reduce((sum, { key }) => sum + key.length + 8, 0),
    )
  }

  #learnAcked(copy: HeldPartition, acked: number): void {
    if (copy.ack(acked)) copy.collect(copy.acked)
  }

  #oweStanding(part: Part, claim: ClaimItem): void {
    part.claim = claim
    this.#shop.touch(part)
  }

  #owe(part: Part): void {
    part.owesStored = true
    this.#shop.touch(part)
  }

  /** One answer for everything that came in this turn. */
  #answer(part: Part): void {
    const { copy, wants } = part
    const { owner, epoch } = part.entry!
    part.owesStored = false
    if (owner === undefined || owner === this.#shop.own) return
    if (copy) part.promised = epoch
    this.#shop.mail.put(owner, 'stored', {
      partition: part.id,
      epoch,
      tenure: copy?.tenure ?? 0,
      number: copy?.number ?? 0,
      wants,
    })
  }
}

/** A handed copy still counts where the owner has let go of one, and nothing else has happened: it said so as it went. */
function movedOn(handed: Part['handed'], before: MapEntry, entry: MapEntry): Part['handed'] {
  const { epoch, owner, inSync, born } = entry
  const isNext = epoch === before.epoch + 1 && owner === before.owner && born === before.born
  const isWithoutOne = isNext && inSync.length === before.inSync.length - 1
  return isWithoutOne && handed?.epoch === before.epoch ? { ...handed, epoch } : handed
}
