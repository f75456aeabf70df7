/** One `Holdings` whose surroundings are played by hand. */
import type { HoldingTuning } from '../../../../src/core/grain/holding-tuning.ts'
import { Holdings } from '../../../../src/core/grain/holdings.ts'
import type { HoldingMessage, ItemsOf, ItemType } from '../../../../src/core/grain/messages.ts'
import type { KeyChange } from '../../../../src/core/grain/key-contents.ts'
import type { MapEntry, PartitionChange } from '../../../../src/core/partition/partition.ts'
import type { Now } from '../../../../src/core/time.ts'

export const P = 'counter#7'
/** The council, where there is only one. */
export const GROUP = `${'r'.repeat(16)}.0`
export const bytes = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0))
export const change = (text: string | undefined): KeyChange => ({
  state: text === undefined ? null : bytes(text),
  records: [],
  drops: [],
})
export const entryOf = (epoch: number, owner: string, ...others: string[]): MapEntry => ({
  epoch,
  owner,
  inSync: [owner, ...others],
  born: 1,
})

export class Bench {
  readonly holdings: Holdings
  mono = 10_000
  wall = 1_000_000
  readonly sent: { to: string; message: HoldingMessage }[] = []
  readonly proposed: PartitionChange[] = []
  readonly told: string[] = []
  readonly gone = new Set<string>()
  readonly over = new Set<string>()
  /** Keys whose grains are active. */
  readonly busy = new Set<string>()
  targets: string[] = []
  hosts: string[] = []
  /** Only by way of others. */
  readonly distant = new Set<string>()
  leader: string | undefined
  leaderHasLease = false

  constructor(own = 'me', tuning: Partial<HoldingTuning> = {}) {
    this.holdings = new Holdings({
      own,
      tuning,
      send: (to, message) => this.sent.push({ to, message }),
      propose: (change) => this.proposed.push(change),
      isLive: (process) => !this.gone.has(process),
      isLinked: (process) => !this.distant.has(process),
      isOver: (process) => this.over.has(process),
      leader: () => this.leader,
      leaderHasLease: () => this.leaderHasLease,
      targets: () => this.targets,
      hosts: () => this.hosts,
      askMap: (partition) => this.told.push(`ask ${partition}`),
      onStored: (_, number) => this.told.push(`stored ${number}`),
      onRightBegan: () => this.told.push('began'),
      onRightEnded: () => this.told.push('ended'),
      onDeposed: () => this.told.push('deposed'),
      isBusy: (_, key) => this.busy.has(key),
      free: (_, key) => this.told.push(`free ${key}`),
      onTaken: (_, key) => this.told.push(`taken ${key}`),
      onStrayDropped: (partition) => this.told.push(`dropped ${partition}`),
      onStraySettled: () => this.told.push('settled'),
      onSource: (_, __, ___, isNew) => this.told.push(isNew ? 'new source' : 'known source'),
    })
  }

  get now(): Now {
    return { mono: this.mono, wall: this.wall }
  }

  get mayRun(): boolean {
    return this.holdings.mayRun(P, this.now)
  }

  pass(ms: number): void {
    this.mono += ms
    this.wall += ms
    this.holdings.tick(this.now)
    this.holdings.settle(this.now)
  }

  /** Time in which the machine does all that is due. */
  live(ms: number): void {
    const end = this.mono + ms
    for (;;) {
      const next = this.holdings.nextDeadline() ?? Infinity
      if (next >= end) return this.pass(end - this.mono)
      this.pass(Math.max(0.01, next - this.mono))
    }
  }

  map(entry: MapEntry, partition = P, group = GROUP): void {
    this.holdings.onMap(partition, entry, group, this.now)
    this.holdings.settle(this.now)
  }

  decide(ok: boolean, reason?: string): void {
    this.holdings.onProposal(this.proposed.length, ok, reason, this.now)
    this.holdings.settle(this.now)
  }

  hear(from: string, message: HoldingMessage): void {
    this.holdings.onMessage(from, message, this.now)
    this.holdings.settle(this.now)
  }

  wake(): void {
    this.holdings.wake(P, this.now)
    this.holdings.settle(this.now)
  }

  append(key: string, text: string | undefined): number | string {
    const result = this.holdings.append(P, key, change(text), this.now)
    this.holdings.settle(this.now)
    return result
  }

  /** What went to itself comes to itself, until nothing is left. */
  loop(own = 'me'): void {
    for (;;) {
      const next = this.sent.find(({ to }) => to === own)
      if (!next) return
      this.sent.splice(this.sent.indexOf(next), 1)
      this.hear(own, next.message)
    }
  }

  /** The newest items of a type that went to a process. */
  last<T extends ItemType>(type: T, to: string): readonly ItemsOf[T][] {
    const message = this.sent.findLast((one) => one.to === to && one.message.type === type)?.message
    return (message && 'items' in message ? message.items : []) as readonly ItemsOf[T][]
  }

  count(type: HoldingMessage['type'], to?: string): number {
    return this.sent.filter((one) => one.message.type === type && (to ?? one.to) === one.to).length
  }

  /** Answers the newest beacon. */
  answer(from: string, sole = false, refused: { partition: string; epoch: number }[] = []): void {
    const beacon = this.sent.findLast((one) => one.to === from && one.message.type === 'beacon')?.message
    if (beacon?.type !== 'beacon') throw new Error(`no beacon went to ${from}`)
    this.hear(from, { type: 'beaconed', id: beacon.id, sole, refused })
  }

  stored(from: string, epoch: number, tenure: number, number: number, wants = false): void {
    this.hear(from, { type: 'stored', items: [{ partition: P, epoch, tenure, number, wants }] })
  }

  /** Answers a claim as a replica that is equal. */
  stand(from: string, epoch: number, number = 0, common = number): void {
    this.hear(from, {
      type: 'standing',
      items: [{ partition: P, epoch, number, common, since: common, keys: [] }],
    })
    const [repair] = this.last('repair', from)
    this.stored(from, epoch, epoch, repair!.number)
  }
}
