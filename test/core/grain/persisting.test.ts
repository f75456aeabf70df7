/** What is written of copies, when it is another one than before. `persist.test.ts` has rooms of them. */
import { describe, expect, it } from 'vitest'
import { HeldPartition } from '../../../src/core/grain/held-partition.ts'
import { Persisting } from '../../../src/core/grain/persisting.ts'
import type { CopyWrite } from '../../../src/core/grain/stored-copy.ts'
import { change, entryOf, P } from './support/holding-bench.ts'

const A = `${'a'.repeat(16)}.0`
const B = `${'b'.repeat(16)}.1`

/** Two changes under A, and a third one under `last`, at the same epoch whoever that is. */
function copyOf(last: string): HeldPartition {
  const copy = new HeldPartition(1)
  copy.begin(A, 1)
  for (const key of ['x', 'y']) copy.apply(1, key, change('v'))
  copy.begin(last, 2)
  copy.apply(2, 'z', change(last))
  return copy
}

const at = (mono: number) => ({ mono, wall: mono })

/** Writes what `now` gives, and keeps what was given out to be stored. */
function writerOf(now: () => { copy: HeldPartition | undefined; group: string; isOffered?: boolean }) {
  const batches: CopyWrite[] = []
  const persisting = new Persisting({
    own: 'me',
    group: () => now().group,
    entryOf: () => (now().isOffered === undefined ? entryOf(2, 'me') : { ...entryOf(9, 'other'), born: 9 }),
    copyOf: () => now().copy,
    isOffered: (_, born) => now().isOffered === true && born === 1,
    holderOf: (process) => ({ process, browser: '' }),
    persist: ([write]) => batches.push(write!),
  })
  return { persisting, batches }
}

describe('what is on disk', () => {
  it('is written again where two councils have given the same epoch and number', () => {
    let [copy, group] = [copyOf(A), A]
    const { persisting, batches } = writerOf(() => ({ copy, group }))
    const written = (mono: number): string[] => {
      persisting.touch(P, at(mono))
      persisting.tick(at(mono + 1_000))
      persisting.onPersisted(true, at(mono + 1_000))
      return batches.pop()?.puts.map(([key]) => key) ?? []
    }
    expect(written(0)).toEqual(['x', 'y', 'z'])
    expect(written(2_000)).toEqual([])
    ;[copy, group] = [copyOf(B), B]
    expect(written(4_000)).toEqual(['z'])
  })

  it('stays while what it is of is offered to whoever has begun the partition anew', () => {
    let now: Parameters<typeof writerOf>[0] = () => ({ copy: copyOf(A), group: A })
    const { persisting, batches } = writerOf(() => now())
    const write = (mono: number) => {
      persisting.touch(P, at(mono))
      persisting.tick(at(mono + 1_000))
      persisting.onPersisted(true, at(mono + 1_000))
      return batches.splice(0)
    }
    expect(write(0)).toHaveLength(1)
    now = () => ({ copy: undefined, group: A, isOffered: true })
    expect(write(2_000)).toEqual([])
    now = () => ({ copy: undefined, group: A, isOffered: false })
    expect(write(4_000)).toEqual([{ process: 'me', partition: P, puts: [], deletes: [] }])
  })

  it('is as a whole again after one of two batches was not stored', () => {
    const copy = copyOf(A)
    const onDisk = new Set<string>()
    const { persisting, batches } = writerOf(() => ({ copy, group: A }))
    const store = (ok: boolean, now: number): void => {
      const { puts, deletes } = batches.shift()!
      if (ok) {
        for (const key of deletes) onDisk.delete(key)
        for (const [key] of puts) onDisk.add(key)
      }
      persisting.onPersisted(ok, at(now))
    }
    persisting.touch(P, at(0))
    persisting.tick(at(1_000))
    copy.apply(2, 'z', change(undefined))
    copy.ack(copy.number)
    copy.collect(copy.number)
    persisting.touch(P, at(1_100))
    persisting.hurry(at(1_200))
    store(true, 1_300)
    store(false, 1_400)
    persisting.tick(at(11_400))
    store(true, 11_500)
    expect([...onDisk].sort()).toEqual(['x', 'y'])
  })
})
