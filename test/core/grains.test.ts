/** Grains as a whole: a room counts, whatever becomes of those that host the counters. */
import { describe, expect, it } from 'vitest'
import { decodeCouncil, encodeCouncil } from '../../src/core/council/council-codec.ts'
import { MAX_EPOCH } from '../../src/core/council/partition-map.ts'
import { encodeHoldingMessage } from '../../src/core/grain/holding-codec.ts'
import { parsePartition, partitionOf } from '../../src/core/partition/partition.ts'
import { below, pick } from '../../src/testing/random.ts'
import type { Op, Process } from './grain/support/grain-room.ts'
import { GrainRoom, namesIn } from './grain/support/grain-room.ts'

function roomOf(count: number, seed = 1, browser?: (i: number) => string): GrainRoom {
  const room = new GrainRoom(seed)
  const first = room.join(browser?.(0))
  room.found(first)
  for (let i = 1; i < count; i++) room.join(browser?.(i))
  room.runUntil('known to all', () => room.alive.every(({ grains }) => grains.council.knows('counter')))
  return room
}

/** A room of six whose copies are spread, with a counter that was called; one that runs it, and one that does not. */
function counting(): { room: GrainRoom; host: Process; caller: Process } {
  const room = roomOf(6)
  room.run(8_000)
  const op = room.add(room.alive[3]!, 'likes')
  room.runUntil('done', () => isDone(op), 5_000)
  const host = room.hostsOf('likes')[0]!
  return { room, host, caller: room.alive.find((process) => process !== host)! }
}

const isDone = ({ end }: Op): boolean => end !== undefined

/** What is there at the end, as any member reads it. */
function readAll(room: GrainRoom, key: string): string[] {
  const read = room.read(room.alive[0]!, key)
  room.runUntil('read', () => isDone(read), 15_000)
  if (read.end!.type !== 'result') throw new Error(`${key} cannot be read: ${JSON.stringify(read.end)}`)
  return namesIn(read.end!.bytes)
}

/** Every acknowledged change is there, none is there twice. */
function check(room: GrainRoom, keys: readonly string[]): void {
  for (const key of keys) {
    const names = readAll(room, key)
    expect(new Set(names).size, `${key} has something twice`).toBe(names.length)
    for (const { name, end, key: of } of room.ops)
      if (of === key && end?.type === 'result' && !names.includes(name))
        throw new Error(`${name} of ${key} is lost`)
  }
}

describe('a counter', () => {
  it('counts in a room of one', () => {
    const room = roomOf(1)
    const op = room.add(room.alive[0]!, 'likes')
    room.runUntil('done', () => isDone(op), 2_000)
    expect(op.end!.type).toBe('result')
    check(room, ['likes'])
  })

  it('counts what all of a room of six add', () => {
    const room = roomOf(6)
    room.run(5_000)
    const ops = room.alive.flatMap((process) => Array.from({ length: 10 }, () => room.add(process, 'likes')))
    room.runUntil('done', () => ops.every(isDone), 5_000)
    expect(ops.filter(({ end }) => end!.type === 'result')).toHaveLength(60)
    expect(readAll(room, 'likes')).toHaveLength(60)
    expect(room.hostsOf('likes')).toHaveLength(1)
  })

  it('is held by three, and goes on where its host is closed', () => {
    const { room, host, caller } = counting()
    room.close(host)
    const next = room.add(caller, 'likes')
    room.runUntil('done', () => isDone(next), 10_000)
    expect(next.end!.type).toBe('result')
    expect(next.endedAt - next.startedAt).toBeLessThan(1_000)
    check(room, ['likes'])
  })

  it('goes on where its host is killed', () => {
    const { room, host, caller } = counting()
    room.end(host, false)
    const next = room.add(caller, 'likes')
    room.runUntil('done', () => isDone(next), 10_000)
    expect(next.end!.type).toBe('result')
    check(room, ['likes'])
  })

  it('goes on where its host stands still, which learns that it hosts it no more', () => {
    const { room, host, caller } = counting()
    room.freeze(host, 10_000)
    const next = room.add(caller, 'likes')
    room.runUntil('done', () => isDone(next), 10_000)
    expect(next.end!.type).toBe('result')
    room.run(12_000)
    const last = room.add(host, 'likes')
    room.runUntil('done', () => isDone(last), 5_000)
    expect(last.end!.type).toBe('result')
    expect(room.hostsOf('likes')).not.toContain(host)
    check(room, ['likes'])
  })

  it('goes on where its host is closed that held it alone for a moment', () => {
    const room = roomOf(6)
    // Until all host some.
    room.run(40_000)
    const keys = Array.from({ length: 12 }, (_, i) => `key ${i}`)
    const ops = keys.map((key) => room.add(room.alive[3]!, key))
    room.runUntil('done', () => ops.every(isDone), 5_000)
    const leader = room.alive.find(({ id, grains }) => grains.council.leader === id)!
    const key = keys.find((one) => room.hostsOf(one)[0] !== leader)!
    const host = room.hostsOf(key)[0]!
    const partition = partitionOf('counter', key)
    const { kind, slot } = parsePartition(partition)!
    const entry = () => host.grains.holdings.entryOf(partition)!
    while (entry().inSync.length > 1) {
      const { epoch, inSync } = entry()
      const remove = inSync.find((id) => id !== host.id)!
      room.propose(host, { type: 'change', kind, slots: [slot], epochs: [epoch], remove })
      room.runUntil('removed', () => entry().epoch > epoch, 2_000)
    }
    room.close(host)
    expect(readAll(room, key)).toHaveLength(1)
  })

  it('costs nothing of its own while nobody calls', () => {
    const { room } = counting()
    room.run(130_000)
    room.sent.clear()
    room.run(10_000)
    expect([...room.sent.keys()]).toEqual(['council'])
  })
})

describe('whatever happens', () => {
  const seeds = Number(process.env['GRAIN_SEEDS'] ?? 4)
  const only = process.env['GRAIN_SEED']
  it(
    `what was acknowledged is there, once (${only ?? seeds} seeds)`,
    () => {
      for (let seed = Number(only ?? 1); seed <= Number(only ?? seeds); seed++) {
        try {
          story(seed)
        } catch (cause) {
          throw new Error(`GRAIN_SEED=${seed}: ${cause instanceof Error ? cause.message : String(cause)}`, {
            cause,
          })
        }
      }
    },
    15 * 60_000,
  )
})

const KEYS = ['likes', 'votes', 'board']

/** One is lost at a time, and comes back as another: that a quorum is lost at once is another story. */
function story(seed: number): void {
  const room = roomOf(4 + (seed % 5), seed)
  const { random } = room
  room.run(6_000)
  let quietUntil = 0
  for (let step = 0; step < 60; step++) {
    const able = room.alive.filter((process) => !room.isFrozen(process))
    if (random() < 0.8)
      for (let i = below(random, 4); i >= 0; i--) room.add(pick(random, able), pick(random, KEYS))
    if (room.t > quietUntil && random() < 0.3) {
      const hosts = KEYS.flatMap((key) => room.hostsOf(key))
      const victim: Process = pick(random, hosts.length > 0 ? hosts : able)
      const how = random()
      if (how < 0.3) room.close(victim)
      else if (how < 0.6) room.end(victim, false)
      else room.freeze(victim, random() < 0.5 ? random() * 3_000 : 10_000)
      if (!victim.isAlive) room.join()
      quietUntil = room.t + (how < 0.6 ? 12_000 : 24_000)
    }
    room.loss = random() < 0.7 ? 0 : random() * 0.2
    room.run(random() * 1_500)
  }
  room.loss = 0
  room.run(26_000)
  const { alive } = room
  for (const op of room.ops)
    if (alive.includes(op.from) && !op.end) throw new Error(`G4: ${op.name} has not ended`)
  check(room, KEYS)
  const failed = room.ops.filter(({ end, from }) => alive.includes(from) && end!.type === 'error')
  expect(failed.length, 'most calls succeed').toBeLessThan(room.ops.length / 4)
}

it('what a liar has handed over at the last epoch makes nobody say what others refuse', () => {
  const room = new GrainRoom(1)
  const [honest, liar, third] = [room.join(), room.join(), room.join()]
  room.run(200)
  room.found(honest)
  room.run(8_000)
  const say = (which: number, body: Uint8Array) => {
    const bytes = Uint8Array.of(which, ...body)
    room.input(third, () => third.grains.receive(liar.id, bytes, room.now()))
  }
  const group = honest.grains.council.group!
  const entries = [[7, { epoch: MAX_EPOCH, owner: liar.id, inSync: [liar.id], born: 1 }]] as const
  say(0, encodeCouncil({ kind: 'news', group, grain: 'counter', entries }))
  const end = { tenure: 1, number: 1, acked: 1, tenures: [] }
  const contents = { state: new Uint8Array(1), callers: new Map() }
  const at = { partition: 'counter#7' as const, epoch: MAX_EPOCH, attempt: 1, index: 0 }
  const item = { ...at, handed: true, end, entries: [{ key: 'k', epoch: 1, number: 1, contents }] }
  say(1, encodeHoldingMessage({ type: 'copy', items: [item] }))
  const answer = encodeCouncil({ kind: 'surveyed', group, grains: third.grains.council.surveyed() })
  expect(decodeCouncil(answer)).toMatchObject({ kind: 'surveyed' })
})
