/** Strays between a holder and an owner, each with what it has of one partition. */
import { describe, expect, it } from 'vitest'
import { HeldPartition } from '../../../src/core/grain/held-partition.ts'
import type { HoldingMessage, Source } from '../../../src/core/grain/messages.ts'
import { isKnownTo, isNewer } from '../../../src/core/grain/stored-copy.ts'
import { Strays } from '../../../src/core/grain/strays.ts'
import { slotOf } from '../../../src/core/partition/partition.ts'

const SLOT = slotOf('counter', 'likes')
const PARTITION = `counter#${SLOT}`
/** Keys of that partition. */
const KEYS = Array.from({ length: 4_000 }, (_, i) => `key-${i}`).filter(
  (key) => slotOf('counter', key) === SLOT,
)
const GROUP = `${'a'.repeat(16)}.0`
const SOURCE: Source = {
  origins: [{ group: GROUP, born: 1, epoch: 1, number: KEYS.length }],
  holders: [],
  back: [],
}
const change = (bytes: number) => ({ state: new Uint8Array(bytes), records: [], drops: [] })

function copyOf(keys: readonly string[], bytes: number): HeldPartition {
  const copy = new HeldPartition(1)
  for (const key of keys) copy.apply(1, key, change(bytes))
  copy.source = SOURCE
  return copy
}

function pairOf(options: { hasRight?: boolean; room?: number } = {}) {
  const copy = new HeldPartition(1)
  const settled: string[] = []
  const sent: HoldingMessage[] = []
  const taken: string[] = []
  let { hasRight = true } = options
  const { room = Infinity } = options
  let acked = Infinity
  const at = { mono: 0, wall: 0 }
  const entry = { epoch: 5, owner: 'owner', inSync: ['owner'], born: 1 }
  const machine = (own: string): Strays =>
    new Strays({
      own,
      entryOf: () => entry,
      mayRun: () => hasRight,
      wake: () => undefined,
      rest: () => undefined,
      copyOf: () => copy,
      append: (_, key, change) => {
        if (!hasRight) return 'not-owner'
        if (copy.bytes + copy.growthOf(key, change) > room) return 'state-limit'
        copy.apply(5, key, change)
        return copy.number
      },
      storedUpTo: () => Math.min(copy.number, acked),
      send: (to, message) => {
        sent.push(message)
        if (message.type === 'stray') for (const item of message.items) owner.onStray(own, item, at)
        else if (message.type === 'strayed')
          for (const item of message.items) (to === 'owner' ? owner : holder).onStrayed(own, item, at)
      },
      onTaken: (_, key) => taken.push(key),
      onSeen: () => undefined,
      onSettled: () => settled.push(own),
    })
  const owner = machine('owner')
  const holder = machine('holder')
  return {
    copy,
    settled,
    sent,
    taken,
    owner,
    holder,
    at,
    setAcked: (number: number) => (acked = number),
    begin() {
      hasRight = true
      owner.onRightBegan(PARTITION, at)
    },
  }
}

describe('strays', () => {
  it('are taken over by the owner in parts, and settled', () => {
    const pair = pairOf()
    pair.holder.keep(PARTITION, copyOf(KEYS, 30_000), undefined, pair.at)
    expect(pair.taken.toSorted()).toEqual(KEYS.toSorted())
    expect(pair.settled).toEqual(['holder'])
    expect(pair.sent.filter(({ type }) => type === 'stray').length).toBeGreaterThan(KEYS.length / 3)
  })

  it('leave alone what the owner has, or had', () => {
    const pair = pairOf()
    pair.copy.apply(5, KEYS[0]!, change(1))
    pair.copy.apply(5, KEYS[1]!, change(1))
    pair.copy.apply(5, KEYS[1]!, { state: null, records: [], drops: [] })
    pair.holder.keep(PARTITION, copyOf(KEYS, 10), undefined, pair.at)
    expect(pair.taken.toSorted()).toEqual(KEYS.slice(2).toSorted())
    expect(pair.copy.contentsOf(KEYS[0]!)?.state).toHaveLength(1)
  })

  it('are not taken over twice', () => {
    const pair = pairOf()
    for (let i = 0; i < 2; i++) pair.holder.keep(PARTITION, copyOf(KEYS, 10), undefined, pair.at)
    expect(pair.taken).toHaveLength(KEYS.length)
    expect(pair.settled).toEqual(['holder', 'holder'])
  })

  it('take the place of older ones of their history, where nothing has changed since', () => {
    const pair = pairOf()
    const older = copyOf(KEYS.slice(1), 10)
    older.source = { ...SOURCE, origins: [{ ...SOURCE.origins[0]!, number: KEYS.length - 1 }] }
    pair.holder.keep(PARTITION, older, undefined, pair.at)
    pair.copy.apply(5, KEYS[1]!, change(1))
    const newer = copyOf(KEYS.slice(1), 10)
    for (const key of KEYS.slice(0, 3)) newer.apply(1, key, change(20))
    newer.source = { ...SOURCE, origins: [{ ...SOURCE.origins[0]!, number: newer.number }] }
    pair.holder.keep(PARTITION, newer, undefined, pair.at)
    const sizes = KEYS.slice(0, 4).map((key) => pair.copy.contentsOf(key)!.state!.length)
    expect(sizes).toEqual([20, 1, 20, 10])
    const other = copyOf(KEYS, 30)
    other.source = { ...SOURCE, origins: [{ ...SOURCE.origins[0]!, group: `${'b'.repeat(16)}.0` }] }
    pair.holder.keep(PARTITION, other, undefined, pair.at)
    expect(pair.copy.contentsOf(KEYS[2]!)!.state).toHaveLength(20)
  })

  it('wait for the right to run, and hold up what would run before', () => {
    const pair = pairOf({ hasRight: false })
    pair.owner.keep(PARTITION, copyOf(KEYS, 30_000), undefined, pair.at)
    expect(pair.owner.isOwed(PARTITION)).toBe(true)
    expect(pair.taken).toEqual([])
    pair.begin()
    expect(pair.owner.isOwed(PARTITION)).toBe(false)
    expect(pair.taken).toHaveLength(KEYS.length)
    expect(pair.settled).toEqual(['owner'])
  })

  it('are settled when all that was taken is stored', () => {
    const pair = pairOf()
    pair.setAcked(0)
    pair.owner.keep(PARTITION, copyOf(KEYS, 10), undefined, pair.at)
    expect(pair.owner.isOwed(PARTITION)).toBe(false)
    expect(pair.settled).toEqual([])
    pair.owner.onStored(PARTITION, pair.copy.number - 1, pair.at)
    expect(pair.settled).toEqual([])
    pair.owner.onStored(PARTITION, pair.copy.number, pair.at)
    expect(pair.settled).toEqual(['owner'])
  })

  it('for which there is no room hold nothing up, and are not settled', () => {
    const pair = pairOf({ room: 500 })
    pair.owner.keep(PARTITION, copyOf(KEYS, 400), undefined, pair.at)
    expect(pair.owner.isOwed(PARTITION)).toBe(false)
    expect(pair.settled).toEqual([])
  })

  it('of another partition are not taken', () => {
    const pair = pairOf()
    const foreign = Array.from({ length: 9 }, (_, i) => `foreign-${i}`).filter(
      (key) => slotOf('counter', key) !== SLOT,
    )
    pair.holder.keep(PARTITION, copyOf(foreign, 10), undefined, pair.at)
    expect(pair.taken).toEqual([])
  })
})

describe('histories', () => {
  const origin = { group: GROUP, born: 1, epoch: 3, number: 50 }

  it('are known as far as they were taken up', () => {
    expect(isKnownTo([], origin)).toBe(false)
    expect(isKnownTo([origin], origin)).toBe(true)
    expect(isKnownTo([{ ...origin, number: 51 }], origin)).toBe(true)
    expect(isKnownTo([{ ...origin, epoch: 4, number: 40 }], origin)).toBe(true)
    expect(isKnownTo([{ ...origin, number: 40 }], origin)).toBe(false)
    expect(isKnownTo([{ ...origin, number: 40 }], origin, { epoch: 2, number: 9 })).toBe(true)
    expect(isKnownTo([{ ...origin, born: 2 }], origin)).toBe(false)
    expect(isKnownTo([{ ...origin, group: `${'b'.repeat(16)}.0` }], origin)).toBe(false)
  })

  it('go on where a council was continued by force', () => {
    const continued = { ...origin, group: `${'a'.repeat(8)}${'c'.repeat(8)}.1` }
    expect(isKnownTo([continued], origin)).toBe(true)
    expect(isKnownTo([origin], continued)).toBe(true)
    expect(isKnownTo([origin], { ...continued, epoch: 9, number: 51 })).toBe(false)
  })

  it('are newer where they have taken up the other, and else where they were written later', () => {
    const head = {
      partition: PARTITION,
      epoch: 1,
      acked: 0,
      inSync: [],
      keys: 0,
      at: 1_000,
      origins: [origin],
    }
    const other = { ...origin, group: `${'b'.repeat(16)}.0`, number: 3 }
    const heir = { ...head, at: 1, origins: [other, origin] }
    expect(isNewer(heir, head)).toBe(true)
    expect(isNewer(head, heir)).toBe(false)
    expect(isNewer(head, { ...heir, origins: [other] })).toBe(true)
    expect(isNewer(head, { ...head, origins: [{ ...origin, number: 49 }] })).toBe(true)
  })
})
