/** What a membership measures of itself, and how it is read. */
import { describe, expect, it } from 'vitest'
import type { Cluster, ClusterEvent, Link, Member, MetricsSnapshot } from '../../src/api.ts'
import { createMemorySnapshotStore } from '../../src/adapters/memory/stores.ts'
import { ClusterMetrics, createMeters } from '../../src/cluster/metrics.ts'
import type { SlowCalls } from '../../src/cluster/call-alerts.ts'
import { MAX_LABEL_SETS } from '../../src/core/metrics/label-sets.ts'
import { Registry } from '../../src/core/metrics/registry.ts'
import { defineGrain } from '../../src/grains/define.ts'
import type { SnapshotStore } from '../../src/ports.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'
import { parseExposition } from '../core/metrics/exposition.ts'
import { read, tableOf } from '../docs/markdown.ts'
import { createWorld, upCount, type World } from './support.ts'

const rig = (isOn = true) => {
  const members: Partial<Member>[] = []
  const links: Link[] = []
  const traffic = { messagesSent: 1, messagesReceived: 2, bytesSent: 3, bytesReceived: 4, messagesDropped: 5 }
  const buffered: number[] = []
  const grains = {
    kinds: ['counter'],
    active: () => 2,
    waiting: () => 3,
    unstored: () => 4,
    heldBytes: () => 5,
  }
  const slow: SlowCalls[] = []
  const clock = new FakeClock()
  const sources = {
    grains,
    traffic,
    members: () => members as Member[],
    links: () => links,
    bufferedBytes: () => buffered,
  }
  const metrics = new ClusterMetrics({
    isOn,
    clock,
    sources,
    callAlertMs: 1_000,
    onSlowCalls: (calls) => slow.push(calls),
  })
  return { metrics, sources, members, links, traffic, buffered, slow, clock }
}

/** The value of one sample, of a histogram its count; `undefined` where there is none. */
function valueIn({ families }: MetricsSnapshot, name: string, label?: string): number | undefined {
  const family = families.find((one) => one.name === `grainmesh_${name}`)
  if (!family) throw new Error(`there is no metric grainmesh_${name}`)
  for (const sample of family.samples) {
    const [value] = Object.values(sample.labels)
    if (value === label) return 'count' in sample ? sample.count : sample.value
  }
  return undefined
}

const valueOf = (cluster: Cluster, name: string, label?: string): number | undefined =>
  valueIn(cluster.metrics.snapshot(), name, label)

const sumIn = ({ families }: MetricsSnapshot, name: string): number[] =>
  families.flatMap((family) =>
    family.type === 'histogram' && family.name === `grainmesh_${name}`
      ? family.samples.map(({ sum }) => sum)
      : [],
  )

type Events = {
  readonly [K in ClusterEvent['type']]: readonly Omit<Extract<ClusterEvent, { type: K }>, 'at'>[]
}

const life = { nodeId: 'n', authority: 'a' }
const reason = 'why'
/** One event of each type and of each kind that counts differently. */
const EVENTS: Events = {
  status: [{ type: 'status', from: 'up', to: 'isolated', reason }],
  'member-status': [
    { type: 'member-status', ...life, from: 'up', to: 'unreachable', reason },
    { type: 'member-status', ...life, from: 'unreachable', to: 'up', reason },
    { type: 'member-status', ...life, from: 'unreachable', to: 'removed', reason },
  ],
  'member-meta': [{ type: 'member-meta', nodeId: 'n' }],
  'member-visibility': [{ type: 'member-visibility', nodeId: 'n', visibility: 'hidden' }],
  'peer-state': [{ type: 'peer-state', nodeId: 'n', key: 'k' }],
  superseded: [{ type: 'superseded', authority: 'a', old: 'n', by: 'm' }],
  'authority-conflict': [{ type: 'authority-conflict', authority: 'a', kept: 'n', refused: 'm' }],
  convergence: [{ type: 'convergence', state: 'confirmed', viewHash: 'v', durationMs: 70 }],
  joined: [
    { type: 'joined', durationMs: 700, table: 'full', tableBytes: 900 },
    { type: 'joined', durationMs: 300, table: 'delta', tableBytes: 100 },
    { type: 'joined', durationMs: 0, table: 'none', tableBytes: 0 },
  ],
  'link-opened': [{ type: 'link-opened', nodeId: 'n', durationMs: 200 }],
  'link-closed': [{ type: 'link-closed', nodeId: 'n', reason }],
  'link-failed': [{ type: 'link-failed', nodeId: 'n', reason }],
  'handshake-refused': [{ type: 'handshake-refused', nodeId: 'n', by: 'us', code: 'unproven', reason }],
  gap: [{ type: 'gap', nodeId: 'n', known: 1, from: 3 }],
  'frame-rejected': [{ type: 'frame-rejected', nodeId: 'n', reason }],
  signaling: [
    { type: 'signaling', state: 'up', reason },
    { type: 'signaling', state: 'down', reason },
  ],
  reborn: [{ type: 'reborn', old: 'n', nodeId: 'm', reason }],
  association: [{ type: 'association', authority: 'a', from: 'connected', to: 'quarantined', reason }],
  'dead-letter': (['life-ended', 'no-receiver'] as const).map((why) => ({
    type: 'dead-letter' as const,
    authority: 'a',
    mailbox: 'm',
    bytes: 1,
    reason: why,
  })),
  drained: [{ type: 'drained', authority: 'a', messages: 1 }],
  'send-aborted': [{ type: 'send-aborted', to: 'a', mailbox: 'm', reason }],
  'grain-activated': [{ type: 'grain-activated', kind: 'counter', key: 'k', count: 1 }],
  'grain-deactivated': (['idle', 'failed'] as const).map((why) => ({
    type: 'grain-deactivated' as const,
    kind: 'counter',
    key: 'k',
    reason: why,
    count: 1,
  })),
  'grain-threw': [
    { type: 'grain-threw', kind: 'counter', key: 'k', method: 'm', error: new Error(reason), count: 1 },
  ],
  'grain-stuck': [{ type: 'grain-stuck', kind: 'counter', key: 'k', method: 'm', ms: 30_000, count: 1 }],
  'grain-moved': [{ type: 'grain-moved', kind: 'counter', slot: 1, from: 'a', to: 'b', count: 1 }],
  'state-conflict': [{ type: 'state-conflict', kind: 'counter', key: 'k', other: 1 }],
  'state-dropped': [{ type: 'state-dropped', kind: 'counter', slot: 1, count: 1 }],
  council: [{ type: 'council', change: 'continued', group: 'g', reason }],
  'slow-calls': [{ type: 'slow-calls', kind: 'counter', p95Ms: 2_000, thresholdMs: 1_000, calls: 1 }],
  'state-provisional': [{ type: 'state-provisional', kind: 'counter', slot: 3, missing: 1, count: 2 }],
  storage: [
    { type: 'storage', what: 'identity', reason },
    { type: 'storage', what: 'snapshot', reason },
    { type: 'storage', what: 'grains', reason },
  ],
}
const allEvents = Object.values(EVENTS).flat() as Omit<ClusterEvent, 'at'>[]
const notice = ({ metrics }: ReturnType<typeof rig>, event: Omit<ClusterEvent, 'at'>): void =>
  metrics.notice({ at: 0, ...event } as ClusterEvent)

describe('every event', () => {
  it.each(allEvents.map((event) => [event.type, event] as const))(
    '%s counts as it is declared',
    (type, event) => {
      const own = rig()
      // what comes before it in a life
      if (type === 'signaling' && 'state' in event && event.state === 'down')
        notice(own, EVENTS.signaling[0]!)
      const before = own.metrics.snapshot()
      notice(own, event)
      const isMeasured = JSON.stringify(own.metrics.snapshot()) !== JSON.stringify(before)
      const { feeds } = createMeters(new Registry(), own.sources)
      expect(isMeasured).toBe(feeds[type] !== 'not measured')
    },
  )

  it('counts once, in its own metric, in seconds and bytes', () => {
    const own = rig()
    for (const event of allEvents) notice(own, event)
    const now = own.metrics.snapshot()
    const ones = [
      ...['full', 'delta', 'none'].flatMap((table) => [
        ['joins_total', table],
        ['join_duration_seconds', table],
      ]),
      ...['rebirths', 'unreachable', 'recoveries', 'removals', 'superseded', 'authority_conflicts'].map(
        (name) => [`${name}_total`],
      ),
      ...['isolations', 'gaps', 'links_closed', 'link_failures', 'frames_rejected'].map((name) => [
        `${name}_total`,
      ]),
      ['convergence_seconds'],
      ['link_setup_seconds'],
      ['handshakes_refused_total', 'unproven'],
      ['signaling_disconnects_total'],
      ['dead_letters_total', 'life-ended'],
      ['dead_letters_total', 'no-receiver'],
      ['sends_aborted_total'],
      ['quarantines_total'],
      ['grain_activations_total'],
      ['grain_deactivations_total', 'idle'],
      ['grain_deactivations_total', 'failed'],
      ['grain_stuck_total'],
      ['grain_moves_total'],
      ['council_changes_total', 'continued'],
      ['storage_losses_total', 'identity'],
      ['storage_losses_total', 'snapshot'],
    ]
    for (const [name, label] of ones)
      expect([name, label, valueIn(now, name!, label)]).toEqual([name, label, 1])
    expect(valueIn(now, 'join_table_bytes'), 'for full and delta').toBe(2)
    expect(valueIn(now, 'handshakes_refused_total', 'removed')).toBe(0)
    expect(sumIn(now, 'join_duration_seconds')).toEqual([0.7, 0.3, 0])
    expect(sumIn(now, 'join_table_bytes')).toEqual([1_000])
    expect(sumIn(now, 'link_setup_seconds')).toEqual([0.2])
    expect(sumIn(now, 'convergence_seconds')).toEqual([0.07])
  })

  it('tells what waits for links now, and what found their queues full', () => {
    const { metrics, buffered } = rig()
    const read = () => ['all', 'max'].map((of) => valueIn(metrics.snapshot(), 'link_buffered_bytes', of))
    expect(read(), 'without a link').toEqual([0, 0])
    buffered.push(10, 30, 20)
    expect(read()).toEqual([60, 30])
    expect(valueIn(metrics.snapshot(), 'link_queue_dropped_total')).toBe(5)
  })

  it('of a life that was not known before tells no loss that was seen here', () => {
    const own = rig()
    for (const to of ['unreachable', 'removed'] as const)
      notice(own, { type: 'member-status', ...life, from: undefined, to, reason } as Omit<ClusterEvent, 'at'>)
    const now = own.metrics.snapshot()
    expect([valueIn(now, 'unreachable_total'), valueIn(now, 'removals_total')]).toEqual([0, 0])
  })

  it('of a view that is confirmed once more is not measured once more', () => {
    const own = rig()
    const confirmed = EVENTS.convergence[0]!
    const doubted = { type: 'convergence', state: 'reconciling', viewHash: 'v' } as const
    for (const event of [confirmed, doubted, confirmed]) notice(own, event)
    expect(valueIn(own.metrics.snapshot(), 'convergence_seconds')).toBe(1)
    notice(own, { ...confirmed, durationMs: 90 } as Omit<ClusterEvent, 'at'>)
    expect(valueIn(own.metrics.snapshot(), 'convergence_seconds')).toBe(2)
  })

  it('of signaling sets whether it is up; an outage at the start is no disconnect', () => {
    const own = rig()
    const [up, down] = EVENTS.signaling
    const read = () => {
      const now = own.metrics.snapshot()
      return [valueIn(now, 'signaling_up'), valueIn(now, 'signaling_disconnects_total')]
    }
    const status = (to: 'joining' | 'up' | 'isolated' | 'leaving') =>
      ({ type: 'status', from: 'up', to, reason }) as const
    const steps = [
      down!,
      up!,
      status('up'),
      status('isolated'),
      down!,
      up!,
      status('leaving'),
      up!,
      EVENTS.reborn[0]!,
    ]
    const seen = steps.map((event) => {
      notice(own, event)
      return read()
    })
    expect(seen).toEqual([
      [0, 0],
      [1, 0],
      [1, 0],
      [1, 0],
      [0, 1],
      [1, 1],
      [0, 1],
      [1, 1],
      [0, 1],
    ])
  })
})

describe('gauges and traffic', () => {
  it('are what the readables say when they are read', () => {
    const { metrics, members, links, traffic } = rig()
    expect(valueIn(metrics.snapshot(), 'link_rtt_seconds', 'median'), 'nothing measured').toBeUndefined()
    members.push({ status: 'up' }, { status: 'up' }, { status: 'unreachable' })
    links.push(
      { nodeId: 'a', relay: false, bufferedBytes: 0, rttMs: 30 },
      { nodeId: 'b', relay: false, bufferedBytes: 0 },
      { nodeId: 'c', relay: false, bufferedBytes: 0, rttMs: 10 },
      { nodeId: 'd', relay: false, bufferedBytes: 0, rttMs: 20 },
    )
    traffic.bytesSent += 100
    const now = metrics.snapshot()
    const statuses = ['joining', 'up', 'leaving', 'unreachable']
    expect(statuses.map((status) => valueIn(now, 'members', status))).toEqual([0, 2, 0, 1])
    expect(valueIn(now, 'links')).toBe(4)
    expect(['median', 'max'].map((of) => valueIn(now, 'link_rtt_seconds', of))).toEqual([0.02, 0.03])
    const counted = ['messages_sent', 'messages_received', 'bytes_sent', 'bytes_received']
    expect(counted.map((name) => valueIn(now, `${name}_total`))).toEqual([1, 2, 103, 4])
  })
})

describe('calls of grains', () => {
  const call = { kind: 'counter', method: 'add', outcome: 'result', attempts: 1, ms: 20 } as const
  const samplesOf = (own: ReturnType<typeof rig>, name: string): unknown[] => {
    const { families } = own.metrics.snapshot()
    const { samples } = families.find((family) => family.name === `grainmesh_${name}`)!
    return samples.map((sample) => [
      Object.values(sample.labels).join(' '),
      'count' in sample ? [sample.count, sample.sum] : sample.value,
    ])
  }

  it('are counted by kind, method and outcome, with their time and what was sent once more', () => {
    const own = rig()
    for (const ended of [call, { ...call, attempts: 3, ms: 40 }]) own.metrics.callEnded(ended)
    own.metrics.callEnded({ ...call, method: 'read', outcome: 'deadline' })
    expect(samplesOf(own, 'grain_calls_total')).toEqual([
      ['counter add result', 2],
      ['counter read deadline', 1],
    ])
    expect(samplesOf(own, 'grain_call_duration_seconds')).toEqual([
      ['counter add', [2, 0.06]],
      ['counter read', [1, 0.02]],
    ])
    expect(samplesOf(own, 'grain_call_retries_total')).toEqual([['counter add', 2]])
    expect(samplesOf(own, 'grain_activations')).toEqual([['counter', 2]])
    expect(samplesOf(own, 'grain_queue')).toEqual([['counter', 3]])
    expect(samplesOf(own, 'grain_unstored_changes')).toEqual([['', 4]])
    expect(samplesOf(own, 'grain_held_bytes')).toEqual([['', 5]])
    expect(parseExposition(own.metrics.prometheus())).toEqual(own.metrics.snapshot().families)
  })

  it('of too many methods are told as others', () => {
    const own = rig()
    for (let i = 0; i < 2_000; i++)
      for (const outcome of ['result', 'deadline'] as const)
        own.metrics.callEnded({ ...call, method: `m${i}`, outcome })
    const counted = samplesOf(own, 'grain_calls_total')
    expect(counted).toHaveLength(MAX_LABEL_SETS + 2)
    expect(counted.slice(-2)).toEqual([
      ['other other result', 1_872],
      ['other other deadline', 1_872],
    ])
    expect(samplesOf(own, 'grain_call_duration_seconds')).toHaveLength(MAX_LABEL_SETS + 1)
  })

  it('are told of where they are slow, once in 10 s and kind', () => {
    const own = rig()
    const end = (ms: number, times = 1): void => {
      for (let i = 0; i < times; i++) own.metrics.callEnded({ ...call, ms })
    }
    end(10, 19)
    end(1_500)
    expect(own.slow, 'one in 20').toEqual([])
    end(2_000)
    expect(own.slow).toEqual([{ kind: 'counter', p95Ms: 1_500, calls: 21 }])
    end(3_000)
    expect(own.slow, 'soon after').toHaveLength(1)
    own.metrics.callEnded({ ...call, kind: 'board', ms: 1_001 })
    expect(own.slow.at(-1)).toEqual({ kind: 'board', p95Ms: 1_001, calls: 1 })
    own.clock.advance(10_000)
    end(1_000)
    end(1_001)
    expect(own.slow.at(-1)).toEqual({ kind: 'counter', p95Ms: 1_001, calls: 2 })
    const off = rig(false)
    off.metrics.callEnded({ ...call, ms: 9_000 })
    expect(off.slow).toEqual([])
  })

  it('of a cluster are measured from end to end, and its grains are told', async () => {
    const world = createWorld()
    const Slow = defineGrain('slow', () => ({
      run: (ms: number) => new Promise<void>((resolve) => void world.clock.timer(ms, resolve)),
    }))
    const cluster = await world.tab().join({ grains: [Slow], callAlertMs: 200 })
    await world.settled(cluster.grain(Slow, 'k', { deadlineMs: 60_000 }).run(300))
    const long = cluster.grain(Slow, 'k', { deadlineMs: 60_000 }).run(31_000)
    await world.clock.advanceAsync(25_000)
    await world.settled(long)
    const told = cluster.events.recent().filter(({ type }) => /grain|council|slow/.test(type))
    expect(told).toMatchObject([
      { type: 'council', change: 'founded' },
      { type: 'grain-activated', kind: 'slow', key: 'k', count: 1 },
      { type: 'slow-calls', kind: 'slow', thresholdMs: 200 },
      { type: 'grain-stuck', kind: 'slow', key: 'k', method: 'run', count: 1 },
      { type: 'slow-calls' },
    ])
    expect(valueOf(cluster, 'grain_activations', 'slow')).toBe(1)
    expect(valueOf(cluster, 'grain_stuck_total')).toBe(1)
    expect(valueOf(cluster, 'grain_call_duration_seconds', 'slow')).toBe(2)
    await world.clock.advanceAsync(125_000)
    expect(cluster.events.recent().at(-1)).toMatchObject({ type: 'grain-deactivated', reason: 'idle' })
    expect(valueOf(cluster, 'grain_activations', 'slow')).toBe(0)
  })
})

describe('names', () => {
  const own = rig()
  own.metrics.callEnded({ kind: 'counter', method: 'add', outcome: 'result', attempts: 2, ms: 1 })
  const { families } = own.metrics.snapshot()

  it('have one prefix and a unit, and counters alone say so', () => {
    expect(families.length).toBeGreaterThan(25)
    for (const { name, type } of families) {
      expect(name).toMatch(/^grainmesh(?:_[a-z]+)+$/)
      expect(name.endsWith('_total'), name).toBe(type === 'counter')
      if (type === 'histogram') expect(name).toMatch(/_(?:seconds|bytes)$/)
      expect(name).not.toMatch(/_(?:ms|millis|milliseconds|kb|count|sum|bucket)(?:_|$)/)
    }
  })

  it('carry at most one label, or names of kinds and methods, never an id', () => {
    const labels = families.flatMap(({ samples }) => samples.flatMap((sample) => Object.keys(sample.labels)))
    expect(new Set(labels)).toEqual(
      new Set(['table', 'status', 'reason', 'of', 'code', 'what', 'change', 'kind', 'method', 'outcome']),
    )
    for (const { samples } of families)
      for (const { labels: own } of samples)
        if (!('kind' in own)) expect(Object.keys(own).length).toBeLessThan(2)
  })

  it('are those of docs/metrics.md, in its order, with the same words', () => {
    const { metrics, links } = own
    links.push({ nodeId: 'a', relay: false, bufferedBytes: 0, rttMs: 1 })
    const described = tableOf({ file: 'docs/metrics.md', text: read('docs/metrics.md') }, 'metric')
    const made = metrics.snapshot().families.map(({ name, type, help, samples }) => {
      const keys = Object.keys(samples[0]!.labels)
      const [key] = keys
      if (key === 'kind') return [name, type, keys.join(', '), help]
      const values = samples.map((sample) => Object.values(sample.labels)[0])
      return [name, type, key === undefined ? '' : `${key}: ${values.join(', ')}`, help]
    })
    expect(described).toEqual(made)
  })
})

describe('metrics that are off', () => {
  it('say so, measure nothing, and take no event away', async () => {
    const world = createWorld()
    const other = await world.tab().join()
    const cluster = await world.tab().join({ metrics: false })
    await world.until('two are up', () => upCount(cluster) === 2 && upCount(other) === 2)
    expect(cluster.metrics.snapshot()).toEqual({
      at: world.clock.now().wall,
      diagnostic: expect.stringContaining('metrics: false') as string,
      families: [],
    })
    expect(cluster.metrics.prometheus()).toMatch(/^# metrics are off: .*\n$/)
    expect(cluster.events.recent().map(({ type }) => type)).toContain('link-opened')
    expect(other.metrics.snapshot().diagnostic).toBeUndefined()
  })
})

describe("a cluster's metrics", () => {
  const settle = (world: World, clusters: readonly Cluster[]) =>
    world.until('all agree', () =>
      clusters.every(
        (cluster) => upCount(cluster) === clusters.length && cluster.convergence.get().state === 'confirmed',
      ),
    )

  it('tell a first join from one after a reload, with its bytes', async () => {
    const world = createWorld()
    const others: Cluster[] = []
    for (let i = 0; i < 5; i++) others.push(await world.tab().join({ meta: 'x'.repeat(200) }))
    const tab = world.tab({ snapshot: createMemorySnapshotStore() })
    const first = await tab.join()
    await settle(world, [...others, first])
    const joins = (cluster: Cluster) =>
      ['full', 'delta', 'none'].map((table) => valueOf(cluster, 'joins_total', table))
    expect(joins(others[0]!), 'it was alone').toEqual([0, 0, 1])
    expect(joins(first)).toEqual([1, 0, 0])
    await world.clock.advanceAsync(10_000)
    await world.settled(first.leave())
    const again = await tab.join()
    await settle(world, [...others, again])
    expect(joins(again)).toEqual([0, 1, 0])
    const bytesOf = (cluster: Cluster) => sumIn(cluster.metrics.snapshot(), 'join_table_bytes')[0]!
    expect(bytesOf(again)).toBeGreaterThan(0)
    expect(bytesOf(again)).toBeLessThan(bytesOf(first) / 2)
    const joined = again.events.recent().find((event) => event.type === 'joined')
    expect(sumIn(again.metrics.snapshot(), 'join_duration_seconds')).toEqual([
      0,
      joined!.durationMs / 1_000,
      0,
    ])
    expect(valueOf(others[0]!, 'removals_total'), 'the life before the reload').toBe(1)
  })

  it('are text that reads as the snapshot does', async () => {
    const world = createWorld()
    const { clusters } = await world.room(3)
    const [one] = clusters
    await world.until('a round trip is measured', () =>
      one!.links.get().some(({ rttMs }) => rttMs !== undefined),
    )
    expect(parseExposition(one!.metrics.prometheus())).toEqual(one!.metrics.snapshot().families)
    expect(one!.metrics.prometheus()).toContain('grainmesh_members{status="up"} 3\n')
    expect(valueOf(one!, 'links')).toBe(2)
    expect(valueOf(one!, 'signaling_up')).toBe(1)
    expect(valueOf(one!, 'link_setup_seconds')).toBe(2)
    expect(valueOf(one!, 'convergence_seconds')).toBeGreaterThan(0)
    for (const name of ['messages_sent', 'messages_received', 'bytes_sent', 'bytes_received'])
      expect(valueOf(one!, `${name}_total`), name).toBeGreaterThan(0)
    await world.settled(Promise.all(clusters.map((cluster) => cluster.leave())))
    expect(valueOf(one!, 'links')).toBe(0)
    expect(valueOf(one!, 'signaling_up')).toBe(0)
  })

  it('are bound, and go on through a return of the page', async () => {
    const world = createWorld()
    const { tabs, clusters } = await world.room(2)
    const { snapshot } = clusters[0]!.metrics
    const sent = valueIn(snapshot(), 'bytes_sent_total')!
    tabs[0]!.page.handlers.onHide()
    await world.until('it is gone', () => clusters[1]!.members.get().length === 1)
    expect(valueIn(snapshot(), 'signaling_up')).toBe(0)
    tabs[0]!.page.handlers.onShow()
    await settle(world, clusters)
    expect(valueIn(snapshot(), 'bytes_sent_total')).toBeGreaterThan(sent)
    expect(valueIn(snapshot(), 'signaling_up')).toBe(1)
    expect(['full', 'delta', 'none'].map((table) => valueIn(snapshot(), 'joins_total', table))).toEqual([
      1, 0, 1,
    ])
  })

  it('count the writes of snapshots, their bytes, their time, and those that fail', async () => {
    const world = createWorld()
    const sizes: number[] = []
    let fails = false
    const store: SnapshotStore = {
      load: () => Promise.resolve(undefined),
      save: ({ table }) =>
        new Promise((resolve, reject) => {
          sizes.push(table.length)
          world.clock.timer(20, () => (fails ? reject(new Error('quota exceeded')) : resolve()))
        }),
    }
    const cluster = await world.tab({ snapshot: store }).join()
    await world.clock.advanceAsync(600)
    expect(sizes).not.toEqual([])
    const total = sizes.reduce((sum, size) => sum + size, 0)
    expect(valueOf(cluster, 'snapshot_write_seconds')).toBe(sizes.length)
    expect(sumIn(cluster.metrics.snapshot(), 'snapshot_write_seconds')[0]).toBeCloseTo(0.02 * sizes.length)
    expect(valueOf(cluster, 'snapshot_written_bytes_total')).toBe(total)
    fails = true
    const count = sizes.length
    for (let i = 0; i < 3; i++) {
      cluster.setMeta(i)
      await world.clock.advanceAsync(600)
    }
    expect(valueOf(cluster, 'snapshot_write_failures_total')).toBe(sizes.length - count)
    expect(sizes.length - count, 'each of them, though the event tells it once').toBe(3)
    expect(valueOf(cluster, 'storage_losses_total', 'snapshot')).toBe(1)
    expect(valueOf(cluster, 'snapshot_written_bytes_total')).toBe(total)
  })
})
