import { describe, expect, it } from 'vitest'
import type { MapEntry } from '../../../src/core/partition/partition.ts'
import type { RpcMessage } from '../../../src/core/rpc/messages.ts'
import { OwnerSearch } from '../../../src/core/rpc/owner-search.ts'
import type { Now } from '../../../src/core/time.ts'

const P = 'counter#7'
const ME = 'meeeeeeeeeeeeeee'
const [A, B, C] = ['aaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbb', 'cccccccccccccccc'] as const

class Searcher {
  entry: MapEntry | undefined
  time = 1_000
  readonly gone = new Set<string>()
  sent: { to: string; message: RpcMessage }[] = []
  readonly sought: string[] = []
  readonly moved: { owner: string; epoch: number }[] = []
  readonly search: OwnerSearch

  constructor(entry?: MapEntry) {
    this.entry = entry
    this.search = new OwnerSearch({
      self: ME,
      entryOf: () => this.entry,
      isLive: (process) => !this.gone.has(process),
      send: (to, message) => this.sent.push({ to, message }),
      seek: (partition) => this.sought.push(partition),
      onMoved: (_, hint) => this.moved.push(hint),
    })
  }
  get now(): Now {
    return { mono: this.time, wall: this.time }
  }
  /** What was sent since the last time. */
  take(): { to: string; message: RpcMessage }[] {
    return this.sent.splice(0)
  }
  map(entry: MapEntry): void {
    this.entry = entry
    this.search.onMap(P)
  }
}

const entryOf = (epoch: number, owner: string, ...others: string[]): MapEntry => ({
  epoch,
  owner,
  inSync: [owner, ...others],
  born: 1,
})

describe('who searches an owner', () => {
  it('asks the replicas that are up, once a second', () => {
    const it = new Searcher(entryOf(3, A, B, C))
    it.gone.add(A).add(C)
    it.search.search(P, 3, it.now)
    expect(it.take()).toEqual([{ to: B, message: { type: 'seek', partition: P, epoch: 3 } }])
    it.time += 999
    it.search.search(P, 3, it.now)
    expect(it.take()).toEqual([])
    it.time += 1
    it.search.search(P, 3, it.now)
    expect(it.take()).toHaveLength(1)
    expect(it.sought, 'it holds nothing itself').toEqual([])
  })

  it('seeks the partition itself where it holds a copy, and asks nobody where nothing is known', () => {
    const holder = new Searcher(entryOf(3, A, ME, B))
    holder.gone.add(A)
    holder.search.search(P, 3, holder.now)
    expect(holder.sought).toEqual([P])
    expect(holder.take().map(({ to }) => to)).toEqual([B])
    const stranger = new Searcher()
    stranger.search.search(P, 3, stranger.now)
    expect(stranger.take()).toEqual([])
  })

  it('believes those whom it has asked, until its map names an owner', () => {
    const it = new Searcher(entryOf(3, A, B))
    it.gone.add(A)
    const moved = { type: 'moved', partition: P, owner: C, epoch: 4 } as const
    it.search.onMoved(B, moved, it.now)
    expect(it.moved).toEqual([])
    it.search.search(P, 3, it.now)
    it.search.onMoved(C, moved, it.now)
    expect(it.moved).toEqual([])
    it.search.onMoved(B, moved, it.now)
    expect(it.moved).toEqual([{ owner: C, epoch: 4 }])
    it.map(entryOf(5, B))
    it.search.onMoved(B, moved, it.now)
    expect(it.moved).toHaveLength(1)
  })
})

describe('who is asked for an owner', () => {
  const seek = { type: 'seek', partition: P, epoch: 3 } as const

  it('says who it is, if its map is later', () => {
    const it = new Searcher(entryOf(4, B))
    it.search.onSeek(C, seek)
    expect(it.take()).toEqual([{ to: C, message: { type: 'moved', partition: P, owner: B, epoch: 4 } }])
    expect(it.sought).toEqual([])
  })

  it('takes over what it holds, and tells all who have asked, once', () => {
    const it = new Searcher(entryOf(3, A, ME))
    it.gone.add(A)
    it.search.onSeek(B, seek)
    it.search.onSeek(B, seek)
    it.search.onSeek(C, seek)
    expect(it.sought).toEqual([P, P, P])
    it.map(entryOf(4, A, ME))
    expect(it.take(), 'that one is gone too').toEqual([])
    it.map(entryOf(5, ME))
    const moved = { type: 'moved', partition: P, owner: ME, epoch: 5 }
    expect(it.take()).toEqual([
      { to: B, message: moved },
      { to: C, message: moved },
    ])
    it.map(entryOf(6, ME))
    expect(it.take()).toEqual([])
  })

  it('remembers nobody for what it does not hold', () => {
    const it = new Searcher(entryOf(3, A, B))
    it.search.onSeek(C, seek)
    it.map(entryOf(4, B))
    expect([it.take(), it.sought]).toEqual([[], []])
  })

  it('remembers so many at most, the newest', () => {
    const it = new Searcher(entryOf(1, A, ME))
    const process = (i: number): string => `p${i}`.padEnd(16, 'a')
    for (let i = 0; i < 4_096; i++)
      it.search.onSeek(process(i), { ...seek, partition: 'counter#1', epoch: 1 })
    it.search.onSeek(B, { ...seek, epoch: 1 })
    it.map(entryOf(2, ME))
    expect(it.take().map(({ to }) => to)).toEqual([B])
    it.search.onMap('counter#1')
    expect(it.take()).toEqual([])
  })
})
