/** Kinds that persist, in rooms of cores: disks are here, and outlive whoever writes them. */
import { describe, expect, it } from 'vitest'
import { DEFAULT_KIND_TUNING } from '../../../src/core/grain/grain-outputs.ts'
import type { CopyWrite, StoredCopy } from '../../../src/core/grain/stored-copy.ts'
import type { NodeCore } from '../../../src/core/node.ts'
import { partitionOf, slotOf } from '../../../src/core/partition/partition.ts'
import { seededRandom } from '../../../src/testing/random.ts'
import { GrainTabs } from '../support/grain-tabs.ts'
import { processOf } from '../support/names.ts'

const KINDS = new Map([['counter', { ...DEFAULT_KIND_TUNING, version: 1, accepts: [1], persist: true }]])

/** What one browser keeps. */
class Disk {
  readonly copies = new Map<string, StoredCopy & { keys: Map<string, Uint8Array> }>()
  writes = 0
  fails = false

  write(writes: readonly CopyWrite[]): boolean {
    if (this.fails) return false
    for (const { process, partition, head, puts, deletes } of writes) {
      this.writes++
      const place = `${process} ${partition}`
      const keys = new Map(this.copies.get(place)?.keys)
      for (const key of deletes) keys.delete(key)
      for (const [key, bytes] of puts) keys.set(key, bytes)
      if (head) this.copies.set(place, { process, partition, head, entries: [], keys })
      else this.copies.delete(place)
    }
    return true
  }

  read(): StoredCopy[] {
    return Array.from(this.copies.values(), ({ keys, ...copy }) => ({ ...copy, entries: [...keys.values()] }))
  }

  /** Stored keys, but those of Grainmesh's own. */
  get keys(): string[] {
    const all = Array.from(this.copies.values(), ({ keys }) => Array.from(keys.keys()))
    return all.flat().filter((key) => key[0] !== '$')
  }
}

class PersistentTabs extends GrainTabs {
  readonly #disks = new Map<NodeCore, Disk>()

  constructor() {
    super()
    this.room.onPersist = (tab, { writes }) => {
      const ok = this.#disks.get(tab as NodeCore)!.write(writes)
      this.room.later(3, tab, { type: 'grain-persisted', ok })
    }
  }

  /** `recallMs`: how long its disk takes to be read. */
  open(disk: Disk, browser = 'browser', recallMs = 10): NodeCore {
    const index = ++opened
    const random = seededRandom(index, 'tab')
    const tab = this.join({ kinds: KINDS, keepsCopies: true, browser, random, process: processOf(index) })
    this.#disks.set(tab, disk)
    const copies = disk.read()
    this.room.later(recallMs, tab, { type: 'grain-recalled', copies })
    return tab
  }

  /** All know the map. */
  form(): void {
    this.room.until(
      () => this.tabs.every(({ grains }) => grains.council.knows('counter')),
      'all know the map',
    )
    this.room.run(8_000)
  }

  closeAll(): void {
    while (this.tabs[0]) this.close(this.tabs[0])
  }

  killAll(): void {
    while (this.tabs[0]) this.kill(this.tabs[0])
  }

  add(from: NodeCore, key = 'likes'): void {
    expect(this.ask(from, key).end).toMatchObject({ type: 'result' })
  }
}
/** Processes have other names in each life of a room. */
let opened = 0

function roomOf(disks: readonly Disk[], browsers: readonly string[] = []): PersistentTabs {
  const room = new PersistentTabs()
  for (const [i, disk] of disks.entries()) {
    room.open(disk, browsers[i])
    room.room.run(100)
  }
  room.form()
  return room
}

const storageEvents = (room: PersistentTabs, tab: NodeCore) => room.room.events(tab, 'storage')

describe('a kind that persists', () => {
  it('is there again where all tabs of a browser were closed', () => {
    const disk = new Disk()
    const before = roomOf([disk, disk, disk])
    for (let i = 0; i < 9; i++) before.add(before.tabs[i % 3]!)
    const names = before.namesOf('likes')
    before.closeAll()

    const after = new PersistentTabs()
    const first = after.open(disk)
    expect(after.ask(first, 'likes').end).toMatchObject({ type: 'result' })
    expect(after.namesOf('likes').slice(0, 9)).toEqual(names)
    after.open(disk)
    after.form()
    expect(after.namesOf('likes', after.tabs[1])).toHaveLength(10)
    expect(after.room.events(first, 'state-provisional')).toEqual([])
    expect(storageEvents(after, first)).toEqual([])
    // what was taken over is of the new processes alone
    after.room.run(5_000)
    const processes = new Set(disk.read().map(({ process }) => process))
    expect(processes).toEqual(new Set(after.tabs.map(({ process }) => process)))
  })

  it('is there again where all tabs crashed, a moment after the last change', () => {
    const disk = new Disk()
    const before = roomOf([disk, disk])
    before.add(before.tabs[0]!)
    before.room.run(1_100)
    before.killAll()
    const after = new PersistentTabs()
    after.open(disk)
    expect(after.namesOf('likes')).toHaveLength(1)
  })

  it('does not begin empty while the disk is being read', () => {
    const disk = new Disk()
    const before = roomOf([disk])
    before.add(before.tabs[0]!)
    before.close(before.tabs[0]!)
    const after = new PersistentTabs()
    const tab = after.open(disk, 'browser', 1_900)
    const op = after.ask(tab, 'likes')
    expect(op.endedAt).toBeGreaterThan(1_900)
    expect(after.namesOf('likes')).toHaveLength(2)
  })

  it('goes on without a disk that cannot be read, and begins empty', () => {
    const room = new PersistentTabs()
    const tab = room.open(new Disk(), 'browser', 2_000)
    room.add(tab)
    expect(room.namesOf('likes')).toHaveLength(1)
  })

  it('outlives one room after another', () => {
    const disk = new Disk()
    for (let life = 1; life <= 4; life++) {
      const room = roomOf([disk, disk])
      room.add(room.tabs[1]!)
      expect(room.namesOf('likes')).toHaveLength(life)
      room.closeAll()
    }
  })

  it('takes over from a tab that comes later with its disk, and says so at once where others are not back', () => {
    const disks = [new Disk(), new Disk(), new Disk()]
    const before = roomOf(disks, ['one', 'two', 'three'])
    before.add(before.tabs[0]!)
    before.room.run(1_100)
    before.killAll()

    const after = new PersistentTabs()
    const owner = after.open(new Disk(), 'four')
    after.form()
    after.open(disks[0]!, 'one')
    after.form()
    expect(after.namesOf('likes')).toHaveLength(1)
    const provisional = after.room.events(owner, 'state-provisional')
    expect(provisional).toMatchObject([{ kind: 'counter', missing: 2, count: 1 }])
    after.room.run(2_000)
    expect(disks[0]!.keys).toEqual(['likes'])
  })

  it('is not provisional where all that were in sync are back', () => {
    const disks = [new Disk(), new Disk(), new Disk()]
    const browsers = ['one', 'two', 'three']
    const before = roomOf(disks, browsers)
    before.add(before.tabs[0]!)
    before.room.run(1_100)
    before.killAll()
    const after = roomOf(disks, browsers)
    expect(after.namesOf('likes')).toHaveLength(1)
    expect(after.tabs.flatMap((tab) => after.room.events(tab, 'state-provisional'))).toEqual([])
  })

  it.each([true, false])('holds what was acknowledged meanwhile against it: merge %s', (merges) => {
    const [old, fresh] = [new Disk(), new Disk()]
    const before = roomOf([old])
    for (const key of ['likes', 'other']) before.add(before.tabs[0]!, key)
    before.close(before.tabs[0]!)
    const after = roomOf([fresh], ['two'])
    const [owner] = after.tabs
    after.merges = merges
    for (let i = 0; i < 3; i++) after.add(owner!)
    after.open(old, 'one')
    after.form()
    expect(after.namesOf('likes')).toHaveLength(3)
    expect(after.namesOf('other')).toHaveLength(1)
    // once, and not again when the next one comes with it
    expect(after.merged).toEqual(['likes'])
    const conflicts = after.tabs.flatMap((tab) => after.room.events(tab, 'state-conflict'))
    expect(conflicts).toMatchObject(merges ? [] : [{ kind: 'counter', key: 'likes' }])
  })

  it('takes what is newer of the same history, where nothing was changed since the older was taken up', () => {
    const [one, two] = [new Disk(), new Disk()]
    const before = roomOf([one, two], ['one', 'two'])
    before.add(before.tabs[0]!)
    before.room.run(1_100)
    const [early, late] = before.tabs
    before.close(early!)
    before.room.run(8_000)
    before.add(late!)
    before.close(late!)
    const after = roomOf([one], ['one'])
    expect(after.namesOf('likes')).toHaveLength(1)
    const back = after.open(two, 'two')
    after.form()
    expect(after.namesOf('likes', back)).toHaveLength(2)
  })

  it('takes up a history once: what was cleared since stays so', () => {
    const [one, two] = [new Disk(), new Disk()]
    const before = roomOf([one, two], ['one', 'two'])
    before.add(before.tabs[0]!)
    before.room.run(1_100)
    before.killAll()
    const after = roomOf([one], ['one'])
    expect(after.namesOf('likes')).toHaveLength(1)
    after.ask(after.tabs[0]!, 'likes', 'clear')
    after.room.run(5_000)
    const late = after.open(two, 'two')
    after.form()
    expect(after.namesOf('likes', late)).toEqual([])
  })

  it('answers a call from before again, and does not run it twice', () => {
    const disk = new Disk()
    const process = processOf(++opened)
    const before = roomOf([disk])
    const [host] = before.tabs
    before.call(before.join({ process }), 'likes')
    const partition = partitionOf('counter', 'likes')
    const hasRun = (): boolean => (host!.grains.holdings.copyOf(partition)?.number ?? 0) > 0
    before.room.until(hasRun, 'it has taken effect')
    // its reply is on the way
    before.room.feed(host!, { type: 'set-visibility', visibility: 'hidden' })
    before.killAll()
    expect(disk.keys).toEqual(['likes'])

    const after = roomOf([disk])
    // the same caller, as far as anybody can tell, and its first call once more
    const caller = after.join({ process })
    const again = after.ask(caller, 'likes')
    expect(again.end).toMatchObject({ type: 'result' })
    expect(after.namesOf('likes')).toEqual(['add1'])
    expect(again.name).toBe('add1')
    after.add(caller)
    expect(after.namesOf('likes')).toEqual(['add1', 'add3'])
  })

  it('leaves nothing of keys that were cleared', () => {
    const disk = new Disk()
    const before = roomOf([disk])
    for (let i = 0; i < 1_000; i++) before.call(before.tabs[0]!, `key-${i}`)
    before.room.run(5_000)
    expect(disk.keys).toHaveLength(1_000)
    const { size } = disk.copies
    for (let i = 0; i < 1_000; i++) before.call(before.tabs[0]!, `key-${i}`, 'clear')
    before.room.run(5_000)
    before.close(before.tabs[0]!)
    // what is left is what their caller may ask again: nobody does after a while
    const after = new PersistentTabs()
    after.room.run(6_100_000)
    const tab = after.open(disk)
    after.form()
    expect(after.namesOf('key-7', tab)).toEqual([])
    after.room.run(5_000)
    expect(disk.keys).toEqual([])
    expect(disk.copies.size).toBe(size)
  })

  it('removes what a tab has left behind that reloaded while others held it', () => {
    const disk = new Disk()
    const room = roomOf([disk, disk])
    room.add(room.tabs[0]!)
    room.room.run(2_000)
    const gone = room.tabs[1]!
    room.close(gone)
    room.room.run(8_000)
    room.open(disk)
    room.form()
    room.room.run(3_000)
    expect(disk.read().map(({ process }) => process)).not.toContain(gone.process)
    expect(room.namesOf('likes')).toHaveLength(1)
  })

  it('brings back what the room has lost the last copy of, once somebody comes who stored it', () => {
    const disks = Array.from({ length: 6 }, () => new Disk())
    const room = roomOf(
      disks,
      disks.map((_, i) => `browser ${i}`),
    )
    room.add(room.tabs[0]!)
    room.room.run(1_100)
    const partition = partitionOf('counter', 'likes')
    const holders = room.tabs.filter(({ grains }) => grains.holdings.copyOf(partition))
    expect(holders.length).toBeLessThan(6)
    const { inSync } = room.tabs[0]!.grains.council.entry('counter', slotOf('counter', 'likes'))!
    const disk = disks[room.tabs.findIndex(({ process }) => process === inSync[1])]!
    for (const tab of holders) room.kill(tab)
    const [rest] = room.tabs
    const isBornAnew = () => rest!.grains.council.entry('counter', slotOf('counter', 'likes'))!.born > 1
    // At once where most voters are gone, too; else once those who are lost are removed, and may not come back.
    room.room.until(isBornAnew, 'it is given up', 80_000)
    room.open(disk, 'back')
    room.form()
    expect(room.namesOf('likes', rest)).toHaveLength(1)
  })

  it('writes what has changed, and again after a failure', () => {
    const disk = new Disk()
    const room = roomOf([disk])
    room.add(room.tabs[0]!)
    room.room.run(5_000)
    const { writes } = disk
    room.room.run(60_000)
    expect(disk.writes).toBe(writes)
    disk.fails = true
    room.add(room.tabs[0]!, 'second')
    room.room.run(5_000)
    expect(disk.keys).toEqual(['likes'])
    disk.fails = false
    room.room.run(12_000)
    expect(disk.keys.toSorted()).toEqual(['likes', 'second'])
  })

  it('refuses what is torn, hostile or of another version, and says so', () => {
    const disk = new Disk()
    const before = roomOf([disk])
    for (const key of ['a', 'b', 'c', 'd', 'e']) before.add(before.tabs[0]!, key)
    before.close(before.tabs[0]!)
    const copies = ['a', 'b', 'c', 'd', 'e'].map((key) =>
      [...disk.copies.values()].find(({ partition }) => partition === partitionOf('counter', key))!,
    )
    const spoil = (i: number, change: Partial<StoredCopy & { keys: Map<string, Uint8Array> }>): void => {
      const { process, partition } = copies[i]!
      disk.copies.set(`${process} ${partition}`, { ...copies[i]!, ...change })
    }
    spoil(0, { head: copies[0]!.head.subarray(0, 20) })
    spoil(1, { keys: new Map([...copies[1]!.keys, ['x', [...copies[3]!.keys.values()][0]!]]) })
    spoil(4, { keys: new Map() })
    spoil(2, { head: Uint8Array.from([9, ...copies[2]!.head.subarray(1)]) })
    const after = new PersistentTabs()
    const tab = after.open(disk)
    after.form()
    expect(storageEvents(after, tab)).toMatchObject([{ what: 'grains' }])
    expect(storageEvents(after, tab)[0]!.reason).toContain('4 stored copies cannot be used')
    for (const key of ['a', 'b', 'c', 'e']) expect(after.namesOf(key)).toEqual([])
    expect(after.namesOf('d')).toHaveLength(1)
    // of a version that may be a later one
    after.room.run(2_000)
    expect([...disk.copies.keys()]).toContain(`${copies[2]!.process} ${copies[2]!.partition}`)
    expect([...disk.copies.keys()]).not.toContain(`${copies[0]!.process} ${copies[0]!.partition}`)
  })

  it('writes and asks for nothing where no kind asks for it', () => {
    const room = new PersistentTabs()
    const tab = room.join({
      keepsCopies: true,
      kinds: new Map([['counter', { ...DEFAULT_KIND_TUNING, version: 1, accepts: [1] }]]),
    })
    room.room.onPersist = () => {
      throw new Error('it was written')
    }
    room.add(tab)
    room.room.run(5_000)
  })
})
