/**
 * Golden messages of grains: bytes that were written once and must be read for ever, and what PROTOCOL.md says of them.
 * `GOLDEN_WRITE=1 npx vitest run test/core/golden` writes the files anew, as it does those of frames.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { decodeCommand, encodeCommand } from '../../../src/core/council/map-codec.ts'
import { MAX_EPOCH, MAX_KINDS } from '../../../src/core/council/partition-map.ts'
import { COUNCIL_KEY, parseCouncil } from '../../../src/core/council/published-council.ts'
import { RaftLimits } from '../../../src/core/council/raft-codec.ts'
import { DEFAULT_RAFT_TUNING } from '../../../src/core/council/raft-tuning.ts'
import { DEFAULT_ACTIVATION_TUNING } from '../../../src/core/grain/activations.ts'
import { DEFAULT_KIND_TUNING } from '../../../src/core/grain/grain-outputs.ts'
import { HoldingLimits, HOLDING_VERSION } from '../../../src/core/grain/holding-codec.ts'
import { HOLDING_TUNING, PATIENCE_SHARE, RIGHT_SHARE } from '../../../src/core/grain/holding-tuning.ts'
import { LANE_OF } from '../../../src/core/grain/messages.ts'
import { Grains } from '../../../src/core/grains.ts'
import {
  MAX_GRAIN_KEY_BYTES,
  MAX_HOLDERS,
  MAX_KIND_BYTES,
  SLOTS,
  slotOf,
} from '../../../src/core/partition/partition.ts'
import { scoreOf } from '../../../src/core/partition/placement.ts'
import { formatKinds, KINDS_KEY, parseKinds } from '../../../src/core/published-kinds.ts'
import { MAX_RPC_BYTES } from '../../../src/core/rpc/call-codec.ts'
import { childCallerOf } from '../../../src/core/rpc/call-id.ts'
import { DEFAULT_CALL_TUNING } from '../../../src/core/rpc/calls.ts'
import type { CallMessage } from '../../../src/core/rpc/messages.ts'
import { REFUSALS, RpcLimits } from '../../../src/core/rpc/messages.ts'
import { valueCodec } from '../../../src/grains/codec.ts'
import { decodeFault } from '../../../src/grains/faults.ts'
import { VIEWS } from '../../../src/grains/survey.ts'
import type { GrainSample } from './grain-samples.ts'
import { A, B, CHILD, COMMANDS, decodeGrain, encodeGrain, GRAIN_SAMPLES, MACHINES } from './grain-samples.ts'
import { fromHex, toHex } from './hex.ts'
import { between, exampleBytes, examples, numbersOf, table, text } from './protocol-text.ts'

const folder = path.join(import.meta.dirname, 'grains')
const fileOf = (name: string): string => path.join(folder, `${name}.hex`)

if (process.env['GOLDEN_WRITE']) {
  for (const [name, sample] of Object.entries(GRAIN_SAMPLES)) {
    writeFileSync(fileOf(name), toHex(encodeGrain(sample)))
  }
}

const golden = (name: string): Uint8Array => fromHex(readFileSync(fileOf(name), 'utf8'))
const names = Object.keys(GRAIN_SAMPLES)

/** Type by name, as the messages have it, with the number that stands in the bytes at that place. */
function typesOf(at: number, nameOf: (sample: GrainSample) => string | undefined): Record<string, number> {
  const types: Record<string, number> = {}
  for (const [name, sample] of Object.entries(GRAIN_SAMPLES)) {
    const type = nameOf(sample)
    if (type !== undefined) types[type] = golden(name)[at]!
  }
  return types
}

const TYPES = {
  council: typesOf(1, ({ machine, message }) => (machine === 'council' ? message.kind : undefined)),
  raft: typesOf(2, ({ machine, message }) =>
    machine === 'council' && message.kind === 'raft' ? message.message.kind : undefined,
  ),
  holdings: typesOf(2, ({ machine, message }) => (machine === 'holdings' ? message.type : undefined)),
  calls: typesOf(2, ({ machine, message }) => (machine === 'calls' ? message.type : undefined)),
}

/** Takes messages as a member does, and says what it thinks of them. */
function faultOf(bytes: Uint8Array): string | undefined {
  let fault: string | undefined
  const grains = new Grains({
    self: B,
    random: () => 0,
    kinds: new Map(),
    seats: () => [],
    isLinked: () => true,
    versionOf: () => undefined,
    candidates: () => [],
    hasEnded: () => false,
    lostFor: () => 0,
    published: () => new Map(),
    publish: () => {},
    isLive: () => true,
    isForgotten: () => false,
    send: () => {},
    output: () => {},
    ended: () => {},
    onFault: (_, reason) => (fault = reason),
    browserOf: () => '',
    onLoss: () => {},
    onProvisional: () => {},
  })
  grains.receive(A, bytes, { mono: 0, wall: 0 })
  return fault
}

describe('golden messages of grains', () => {
  it('are there for every sample, and no others', () => {
    expect(
      readdirSync(folder)
        .map((file) => path.basename(file, '.hex'))
        .sort(),
    ).toEqual(names.toSorted())
  })

  it.each(names)('%s is decoded, and encoded to the same bytes', (name) => {
    const bytes = golden(name)
    expect(decodeGrain(bytes)).toEqual(GRAIN_SAMPLES[name])
    expect(toHex(encodeGrain(GRAIN_SAMPLES[name]!))).toBe(toHex(bytes))
  })

  it.each(names)('%s is taken by a member, and refused wherever it is cut', (name) => {
    const bytes = golden(name)
    expect(faultOf(bytes)).toBeUndefined()
    expect(faultOf(Uint8Array.of(...bytes, 0))).toBeDefined()
    for (const length of new Set([0, 1, 2, 3, bytes.length >> 1, bytes.length - 1]))
      expect(faultOf(bytes.subarray(0, length)), `${length} bytes`).toBeDefined()
  })
})

it('a call that was passed on is a fault: nobody does so, and its origin could be anybody', () => {
  const { machine, message } = GRAIN_SAMPLES['call']!
  const call = { ...message, hops: 1, origin: B } as CallMessage
  expect(faultOf(encodeGrain({ machine, message: call } as GrainSample))).toBe(
    'hops are 1, over their limit of 0',
  )
})

describe('grains in PROTOCOL.md', () => {
  it('are examples that were written once', () => {
    const shown = [...examples].filter(([name]) => name.startsWith('grains/'))
    expect(shown.length).toBeGreaterThan(10)
    for (const [name, block] of shown)
      expect(toHex(exampleBytes(block)), name).toBe(toHex(golden(name.slice('grains/'.length))))
    const machines = new Set(shown.map(([name]) => GRAIN_SAMPLES[name.slice('grains/'.length)]!.machine))
    expect(machines.size).toBe(MACHINES.length)
  })

  it('go to their machines by the first byte', () => {
    expect(table('machine').map(([number, name]) => [Number(number), name])).toEqual([...MACHINES.entries()])
    expect(faultOf(Uint8Array.of(MACHINES.length, 1, 0))).toBe('it is for no machine of grains')
    for (const machine of ['holdings', 'calls'] as const)
      expect(faultOf(Uint8Array.of(MACHINES.indexOf(machine), 2, 1))).toContain('version 2')
    expect(HOLDING_VERSION).toBe(1)
  })

  it.each(['council', 'raft', 'holdings', 'calls'] as const)('names every type of %s', (machine) => {
    const rows = table(machine).map(([number, name]) => [name!, Number(number)] as const)
    expect(Object.fromEntries(rows)).toEqual(TYPES[machine])
    const bodies = between('### Ways', '### Values')
    for (const [name] of rows) expect(bodies).toMatch(new RegExp(`^    ${name} *= `, 'm'))
    // What has no row here has no number either.
    const next = Math.max(...rows.map(([, number]) => number)) + 1
    const head = { council: [0], raft: [0, 0], holdings: [1, 1], calls: [2, 1] }[machine]
    expect(faultOf(Uint8Array.of(...head, next)), `${machine} ${next} has no row`).toMatch(/unknown/)
  })

  it('names the ways of holding messages', () => {
    const ways = Object.fromEntries(table('way', 'carries').map(([way, carries]) => [way, carries!]))
    for (const [type, lane] of Object.entries(LANE_OF)) {
      const way = lane === 'beacon' ? 'frame datagram' : `stream ${lane}`
      if (lane !== 'grain') expect(ways[way]).toMatch(new RegExp(`\\b${type}\\b`))
      else expect(Object.values(ways).join(' ')).not.toMatch(new RegExp(`\\b${type}\\b`))
    }
  })

  it('names every command', () => {
    const types = Object.values(COMMANDS).map((command) => [encodeCommand(command)[0], command.type])
    expect(table('command').map(([number, name]) => [Number(number), name])).toEqual(types)
    for (const command of Object.values(COMMANDS)) {
      const bytes = encodeCommand(command)
      const decoded = decodeCommand(bytes)
      expect(typeof decoded === 'string' ? decoded : toHex(encodeCommand(decoded))).toBe(toHex(bytes))
    }
    expect(decodeCommand(Uint8Array.of(types.length, 1, 0x61))).toMatch('type of command')
  })

  it('names every refusal', () => {
    expect(table('refusal').map(([number, name]) => [Number(number), name])).toEqual([...REFUSALS.entries()])
  })

  it('has vectors that are so', () => {
    const slots = table('kind', 'key')
    expect(slots.length).toBeGreaterThan(3)
    for (const [kind, key, slot] of slots) {
      const times = /^(.) (\d+) times$/.exec(key!)
      const meant = times ? times[1]!.repeat(Number(times[2])) : key === '(empty)' ? '' : key!
      expect(slotOf(kind!, meant), key).toBe(Number(slot))
    }
    for (const [kind, slot, process, score] of table('kind', 'slot'))
      expect(scoreOf(kind!, Number(slot), process!)).toBe(Number(score))
    const children = table("parent's caller")
    for (const [caller, kind, key, sequence, child] of children)
      expect(childCallerOf(caller!, kind!, key!, Number(sequence))).toBe(child)
    expect(children[0]![4]).toBe(CHILD)
  })

  it('shows what is published as it is read', () => {
    const shown = (key: string): string =>
      new RegExp(`^    \\${key} += .*?  +(.*)$`, 'm').exec(text.replaceAll('$kinds ', '$kinds  '))![1]!.trim()
    const kinds = shown(KINDS_KEY)
    expect([...parseKinds(kinds)]).toEqual([
      ['counter', { version: 1, accepts: [1] }],
      ['cart', { version: 3, accepts: [3, 2] }],
    ])
    expect(formatKinds(parseKinds(kinds))).toBe(kinds)
    expect(parseCouncil(shown(COUNCIL_KEY))).toEqual({
      group: 'qrstuvwxyz234567.0',
      index: 12,
      leads: 3,
      voters: [A],
    })
  })

  it('says what values and errors are in bytes', () => {
    const values = [undefined, { a: 1 }, new Map([[1, 2]]), new Uint8Array(1)]
    const rows = table('first byte')
    expect(values.map((value) => valueCodec.encode(value, 'value')[0])).toEqual(
      rows.map(([byte]) => Number(byte)),
    )
    const views = VIEWS.map(({ name }, type) => `${type} ${name}`).join(', ')
    expect(text).toContain(`Types of attachments are ${views}, 255 ArrayBuffer`)
    expect(new TextDecoder().decode(valueCodec.encode(new Uint8Array(1), 'value'))).toContain('["B",1]')
    const [, codes] = /`code` is ((?:`[\w-]+`(?:, | or )?)+); any other/.exec(text)!
    const listed = Array.from(codes!.matchAll(/[\w-]+(?=`)/g), ([code]) => code)
    expect(listed).toHaveLength(9)
    const read = (code: string): string =>
      decodeFault(new TextEncoder().encode(JSON.stringify({ code, message: '' }))).code
    expect(listed.map((code) => read(code))).toEqual(listed)
    expect(read('deadline')).toBe('grain-threw')
  })

  it('names every limit', () => {
    expect(RaftLimits.counter).toBe(HoldingLimits.counter)
    expect(RpcLimits.counter).toBe(HoldingLimits.counter)
    expect(HoldingLimits.stateBytes).toBe(RpcLimits.bytes)
    expect(RpcLimits.keyBytes).toBe(MAX_GRAIN_KEY_BYTES)
    expect(numbersOf('grain limit')).toEqual({
      'bytes of a kind': MAX_KIND_BYTES,
      'bytes of a key of a grain': MAX_GRAIN_KEY_BYTES,
      'bytes of a group': RaftLimits.groupBytes,
      'kinds of surveyed, and of a map': MAX_KINDS,
      'processes of entries': SLOTS * MAX_HOLDERS,
      'processes of a command or map': 4_096,
      'entries of a kind': SLOTS,
      'holders of a partition': MAX_HOLDERS,
      'epochs of entries, commands and maps': MAX_EPOCH,
      'bytes of a command': RaftLimits.commandBytes,
      'bytes of a raft message': RaftLimits.messageBytes,
      'entries of append': RaftLimits.entries,
      voters: RaftLimits.voters,
      'bytes of a snapshot': RaftLimits.snapshotBytes,
      'ms of waitMs': RaftLimits.waitMs,
      'items of a holding message': HoldingLimits.items,
      'keys of standing, repair or copy': HoldingLimits.entries,
      'callers of a key': HoldingLimits.callers,
      'outcomes of a key, or a change': HoldingLimits.records,
      'bytes of a caller in a record': HoldingLimits.callerBytes,
      'bytes of a state': HoldingLimits.stateBytes,
      'bytes of arguments, a result or an error': RpcLimits.bytes,
      'bytes of a call message': MAX_RPC_BYTES,
      'bytes of a method': RpcLimits.methodBytes,
      'callers of a chain': RpcLimits.chain,
      'attempts of a reply': RpcLimits.attempts,
      'hops of a call': DEFAULT_ACTIVATION_TUNING.hops,
      'ms of remainingMs and keepMs': RpcLimits.ms,
      'other counters': HoldingLimits.counter,
    })
  })

  it('says of limits that have no constant what the decoder does', () => {
    const limits = numbersOf('grain limit')
    const refused = (sample: GrainSample): string => {
      const decoded = decodeGrain(encodeGrain(sample))
      return typeof decoded === 'string' ? decoded : ''
    }
    const entry = {
      epoch: limits['epochs of entries, commands and maps']! + 1,
      owner: A,
      inSync: [A],
      born: 1,
    }
    const news = { kind: 'news', group: 'g', grain: 'a', entries: [[0, entry]] } as const
    expect(refused({ machine: 'council', message: news })).toContain(
      `of ${limits['epochs of entries, commands and maps']}`,
    )
    const bytes = limits['bytes of a command']!
    // propose, an empty group, id 0, and the length of a command that is one byte longer
    const propose = Uint8Array.of(
      0,
      3,
      0,
      0,
      ((bytes + 1) % 128) | 128,
      ((bytes >> 7) % 128) | 128,
      bytes >> 14,
    )
    expect(decodeGrain(propose)).toContain(`over its limit of ${bytes}`)
    const processes = limits['processes of a command or map']!
    const birth = Uint8Array.of(0, 1, 0x61, ((processes + 1) % 128) | 128, processes >> 7)
    expect(decodeCommand(birth)).toContain(`over its limit of ${processes}`)
  })

  it('names every tuning that it has with its default', () => {
    const all = {
      ...HOLDING_TUNING,
      ...DEFAULT_RAFT_TUNING,
      ...DEFAULT_CALL_TUNING,
      ...DEFAULT_ACTIVATION_TUNING,
    }
    expect(all).toMatchObject(numbersOf('grain tuning'))
  })

  it('names the numbers of its prose as they are', () => {
    const { leaseMs, beaconMs, beaconAgainMs, takeoverSpreadMs, staleMs, silenceMs } = HOLDING_TUNING
    const { electionMinMs, electionMaxMs, leaseFactor, heartbeatMs, lostSpreadMs } = DEFAULT_RAFT_TUNING
    const { attemptMs, backoffMinMs, backoffMaxMs, deadlineMs, maxDeadlineMs } = DEFAULT_CALL_TUNING
    const { records, holdMs, floorMs } = DEFAULT_ACTIVATION_TUNING
    const statements = [
      `L is ${leaseMs / 1_000} s`,
      `less than ${RIGHT_SHARE} L ago, ${(RIGHT_SHARE * leaseMs) / 1_000} s`,
      `${PATIENCE_SHARE} L, ${(PATIENCE_SHARE * leaseMs) / 1_000} s, after its last _answer_`,
      `a beacon goes ${beaconMs / 1_000} s after the sending of one that was answered, ${beaconAgainMs / 1_000} s after one that was not`,
      `each further one ${takeoverSpreadMs} ms later`,
      `hears nothing of it for ${staleMs / 1_000} s`,
      `leaves a change unanswered for ${silenceMs / 1_000} s`,
      `less than ${(electionMinMs * leaseFactor) / 1_000} s ago`,
      `begins ${electionMinMs / 1_000} to ${electionMaxMs / 1_000} s after`,
      `within ${lostSpreadMs / 1_000} s of being told`,
      `A heartbeat goes every ${heartbeatMs / 1_000} s`,
      `Without an answer for ${attemptMs / 1_000} s a call`,
      `doubles from ${backoffMinMs} ms to ${backoffMaxMs / 1_000} s`,
      `A caller waits for ${deadlineMs / 1_000} s if it is not told otherwise, ${maxDeadlineMs / 60_000} min at most`,
      `${records.toLocaleString('en')} records of the key`,
      `holds the call for ${holdMs / 1_000} s`,
      `remembers the \`first\` for ${floorMs / 1_000} s`,
      `${DEFAULT_KIND_TUNING.queueDepth} calls of the key wait`,
    ]
    for (const statement of statements) expect(text).toContain(statement)
  })
})
