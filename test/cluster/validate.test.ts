/** Options are looked at before anything starts, and each one that is wrong is named. */
import { describe, expect, it } from 'vitest'
import { joinCluster, openCluster } from '../../src/cluster.ts'
import { defineGrain } from '../../src/grains/define.ts'
import { ClusterError } from '../../src/errors.ts'
import type { ClusterOptions, Platform } from '../../src/index.ts'
import { createWorld } from './support.ts'

const signaling = 'ws://localhost:8787/'

const named = (name: string) => defineGrain(name, () => ({ run: () => 1 }))
const Counter = named('counter')
const many = (count: number, length: number) =>
  Array.from({ length: count }, (_, i) => named(`k${i}`.padEnd(length, 'x')))

function problemsOf(name: unknown, options: unknown): readonly string[] {
  try {
    openCluster(name as string, options as ClusterOptions)
  } catch (error) {
    expect(error).toBeInstanceOf(ClusterError)
    const { code, problems, message } = error as ClusterError
    expect(code).toBe('invalid-option')
    for (const problem of problems) expect(message).toContain(problem)
    return problems
  }
  return []
}

describe('each wrong option is named', () => {
  it.each<[unknown, RegExp]>([
    [undefined, /^name must be a string, not undefined$/],
    [null, /^name must be a string, not null$/],
    [7, /^name must be a string, not 7$/],
    ['', /^name is empty$/],
    ['  ', /^name is empty$/],
    ['x'.repeat(129), /^name has 129 characters, at most 128 are allowed$/],
  ])('name %j', (name, problem) => {
    expect(problemsOf(name, { signaling })).toEqual([expect.stringMatching(problem)])
  })

  it.each<[object, RegExp]>([
    [{ signaling: undefined }, /^signaling is missing/],
    [{ signaling: '' }, /^signaling must be a ws: or wss: URL, not ""$/],
    [{ signaling: 'http://localhost/' }, /^signaling must be a ws: or wss: URL, not "http:/],
    [{ signaling: 'ws:localhost' }, /^signaling must be/],
    [{ signaling: 'ws://local host/' }, /^signaling must be/],
    [{ signaling: 'ws://localhost/#room' }, /^signaling must have no fragment/],
    [{ signaling: [] }, /^signaling is an empty list/],
    [{ signaling: [signaling, 7] }, /^signaling must be a URL, not 7$/],
    [{ signalling: signaling }, /^signalling is not an option$/],
    [{ grains: Counter }, /^grains must be a list of kinds$/],
    [{ grains: [Counter, { name: 'other' }] }, /^grains\[1\] is no kind: use what defineGrain returns$/],
    [{ grains: [Counter, undefined] }, /^grains\[1\] is no kind/],
    [{ grains: [Counter, named('counter')] }, /^grains has the kind "counter" twice$/],
    [{ grains: many(33, 4) }, /^grains has 33 kinds, at most 32 are allowed$/],
    [{ grains: many(20, 64) }, /^the names and versions of grains have 1340 bytes together, at most 900/],
    [
      { codec: { encode: () => new Uint8Array(1) } },
      /^codec must be an object with the functions encode and/,
    ],
    [{ codec: null }, /^codec must be an object/],
    [{ meta: () => 1 }, /^meta is a function/],
    [{ meta: 'x'.repeat(1_100) }, /^meta has 1102 bytes of JSON, over its limit of 1024/],
    [
      { meta: 'x'.repeat(20), limits: { valueBytes: 10 } },
      /^meta has 22 bytes of JSON, over its limit of 10/,
    ],
    [{ token: 7 }, /^token must be a string or a function, not 7$/],
    [{ iceServers: 'stun:example.org' }, /^iceServers must be a list/],
    [
      { iceServers: [{ urls: 'stun:a' }, { urls: 'http://b' }] },
      /^iceServers\[1\]\.urls must be stun: or turn:/,
    ],
    [{ iceServers: [null] }, /^iceServers\[0\]\.urls/],
    [{ iceServers: [{ urls: [] }] }, /^iceServers\[0\]\.urls/],
    [{ maxLinks: 0 }, /^maxLinks must be a whole number from 1 to 120, not 0$/],
    [{ maxLinks: 1.5 }, /^maxLinks must be/],
    [{ maxLinks: '8' }, /^maxLinks must be a whole number from 1 to 120, not "8"$/],
    [{ callAlertMs: 0 }, /^callAlertMs must be a whole number from 1 to 600000, not 0$/],
    [{ joinTimeoutMs: 0 }, /^joinTimeoutMs must be/],
    [{ joinTimeoutMs: Number.NaN }, /^joinTimeoutMs must be .* not NaN$/],
    [{ joinTimeoutMs: Infinity }, /^joinTimeoutMs must be/],
    [{ signal: {} }, /^signal must be an AbortSignal$/],
    [{ signal: null }, /^signal must be an AbortSignal$/],
    [{ snapshot: true }, /^snapshot may only be `false`; a store of your own goes into platform\.snapshot$/],
    [{ relay: 'off' }, /^relay must be a boolean, not "off"$/],
    [{ metrics: 'off' }, /^metrics must be a boolean, not "off"$/],
    [{ metrics: null }, /^metrics must be a boolean, not null$/],
    [{ tuning: 7 }, /^tuning must be an object$/],
    [{ tuning: { statusInterval: 1 } }, /^tuning\.statusInterval is not an option$/],
    [{ tuning: { statusIntervalMs: -1 } }, /^tuning\.statusIntervalMs must be a number from 0 on, not -1$/],
    [{ tuning: { statusIntervalMs: '1' } }, /^tuning\.statusIntervalMs must be/],
    [{ tuning: { maxDials: 0.5 } }, /^tuning\.maxDials must be a whole number from 1 on, not 0\.5$/],
    [{ tuning: { minObservers: 0 } }, /^tuning\.minObservers must be a whole number from 1 on, not 0$/],
    [{ tuning: { quietPeriods: -1 } }, /^tuning\.quietPeriods must be a whole number from 0 on, not -1$/],
    [
      { tuning: { suspicionMinMs: 9_000, suspicionMaxMs: 10 } },
      /^tuning\.suspicionMinMs is 9000, more than tuning\.suspicionMaxMs, which is 10$/,
    ],
    [
      { tuning: { redialMinMs: 20_000 } },
      /^tuning\.redialMinMs is 20000, more than tuning\.redialMaxMs, which is 15000$/,
    ],
    [{ limits: { members: Number.NaN } }, /^limits\.members must be a whole number from 1 on, not NaN$/],
    [{ limits: { members: 0 } }, /^limits\.members must be a whole number from 1 on, not 0$/],
    [{ limits: { windowBytes: 5 } }, /^limits\.windowBytes must be a whole number from 262144 on, not 5$/],
    [{ limits: { queueBytes: 1.5 } }, /^limits\.queueBytes must be a whole number from 0 on, not 1\.5$/],
    [{ limits: { members: 10_000 } }, /^limits\.members is 10000, at most 8192 are possible$/],
    [
      { limits: { valueBytes: 4_096 } },
      /^limits\.valueBytes times one more than limits\.peerStateKeys is 135168, at most 57344 fit/,
    ],
    [{ limits: { toString: 1 } }, /^limits\.toString is not an option$/],
    [{ platform: null }, /^platform must be an object of ports$/],
    [{ platform: { clok: {} } }, /^platform\.clok is not a port$/],
    [{ platform: { transport: 5 } }, /^platform\.transport must be `false`, or an object with open, not 5$/],
    [{ platform: { socket: 5 } }, /^platform\.socket must be a function, not 5$/],
    [{ platform: { clock: false } }, /^platform\.clock must be an object with now and timer, not false$/],
    [{ platform: { copies: { load: () => [] } } }, /^platform\.copies must be .* load and save, not object$/],
    [{ platform: { keys: null } }, /^platform\.keys must be an object with verify, not null$/],
  ])('%o', (options, problem) => {
    expect(problemsOf('room', { signaling, ...options })).toEqual([expect.stringMatching(problem)])
  })

  it.each([undefined, null, 'ws://localhost/', 7])('options %j', (options) => {
    expect(problemsOf('room', options)).toEqual([expect.stringMatching(/^options must be an object/)])
  })

  it('all of them at once', () => {
    const problems = problemsOf('', { signaling: 'x', maxLinks: -1, snapshot: 1, colour: 'red' })
    expect(problems.map((problem) => problem.split(' ')[0])).toEqual([
      'name',
      'colour',
      'signaling',
      'maxLinks',
      'snapshot',
    ])
  })
})

it('joinCluster rejects instead of throwing', async () => {
  const attempt = joinCluster('', { signaling })
  await expect(attempt).rejects.toMatchObject({ code: 'invalid-option', problems: ['name is empty'] })
})

it('nothing is started', () => {
  const used: string[] = []
  const world = createWorld()
  const { platform } = world.tab()
  const watched = Object.fromEntries(
    Object.entries(platform).map(([name, port]: [string, unknown]) => [
      name,
      typeof port === 'function'
        ? () => used.push(name)
        : new Proxy({}, { get: (_, method) => () => used.push(`${name}.${String(method)}`) }),
    ]),
  )
  expect(problemsOf('room', { signaling, platform: watched, maxLinks: 0 })).toHaveLength(1)
  expect(used).toEqual([])
  expect([world.clock.pending, world.network.sessions]).toEqual([0, 0])
})

it('signaling may be left out where the platform brings its own', async () => {
  const world = createWorld()
  const { platform } = world.tab()
  const options = { platform: platform as Partial<Platform>, snapshot: false } as unknown as ClusterOptions
  const cluster = openCluster('room', options)
  await world.settled(cluster.ready)
  expect(cluster.status.get()).toBe('up')
})
