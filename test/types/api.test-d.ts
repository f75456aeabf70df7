/** Compiled, never run: what the public types allow and what they do not. Each `@ts-expect-error` must find one. */
import { defineGrain, grainRef, joinCluster, openCluster, valueCodec } from '../../src/index.ts'
import type {
  Cluster,
  ClusterErrorCode,
  ClusterEvent,
  ClusterOptions,
  Convergence,
  GrainProxy,
  HistogramSample,
  Member,
  MethodsOf,
  Metrics,
  MetricsSnapshot,
  NodeId,
  OpeningCluster,
  Readable,
} from '../../src/index.ts'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
/** Compiles for `true` only. */
const same = <_Check extends true>(): void => {}

/** The shape of React's hook. */
declare function useSyncExternalStore<T>(
  subscribe: (onChange: () => void) => () => void,
  getSnapshot: () => T,
  getServerSnapshot?: () => T,
): T

export function readables(cluster: Cluster): void {
  const { members, convergence, status } = cluster
  same<Equal<ReturnType<typeof useMembers>, readonly Member[]>>()
  function useMembers() {
    return useSyncExternalStore(members.subscribe, members.get, members.get)
  }
  const use = <T>({ subscribe, get }: Readable<T>): T => useSyncExternalStore(subscribe, get)
  same<Equal<Convergence, ReturnType<typeof convergence.get>>>()
  same<Equal<'joining' | 'up' | 'isolated' | 'leaving' | 'left', ReturnType<typeof status.get>>>()
  const [first] = use(members)
  same<Equal<typeof first, Member | undefined>>()
  // @ts-expect-error what is read is not to be written
  first!.status = 'up'
  // @ts-expect-error nor is the list
  use(members).push(first!)
  // @ts-expect-error self is a getter
  cluster.self = first!
}

export function events(cluster: Cluster): void {
  cluster.on('member-status', (event) => {
    same<Equal<typeof event.nodeId, NodeId>>()
    same<Equal<typeof event.at, number>>()
    same<Equal<Exclude<typeof event.from, undefined>, typeof event.to>>()
    // @ts-expect-error a member's status has no generation gap
    void event.known
  })
  cluster.on('storage', ({ what }) => same<Equal<typeof what, 'identity' | 'snapshot' | 'grains'>>())
  cluster.on('grain-deactivated', ({ kind, key, reason, count }) => {
    same<Equal<typeof reason, 'idle' | 'moved' | 'right-lost' | 'renewed' | 'failed'>>()
    same<Equal<[string, string, number], [typeof kind, typeof key, typeof count]>>()
  })
  cluster.on('grain-moved', ({ from, to, slot }) => {
    same<Equal<[typeof from, typeof to, typeof slot], [string | undefined, string | undefined, number]>>()
  })
  cluster.on('grain-stuck', ({ method, ms }) => same<Equal<[typeof method, typeof ms], [string, number]>>())
  cluster.on('council', ({ change }) => same<Equal<typeof change, 'founded' | 'continued' | 'followed'>>())
  cluster.on('state-conflict', ({ kind, key, other }) =>
    same<Equal<[typeof kind, typeof key, typeof other], [string, string, unknown]>>(),
  )
  cluster.on('slow-calls', ({ p95Ms, calls, thresholdMs }) =>
    same<Equal<[typeof p95Ms, typeof calls, typeof thresholdMs], [number, number, number]>>(),
  )
  // @ts-expect-error there is no such event
  cluster.on('member-stauts', () => {})
  const stop = cluster.on('signaling', ({ state }) => same<Equal<typeof state, 'up' | 'down'>>())
  same<Equal<ReturnType<typeof stop>, void>>()
  cluster.events.subscribe((event) => {
    if (event.type === 'superseded') same<Equal<typeof event.by, NodeId>>()
    // @ts-expect-error only after its type was looked at
    void event.nodeId
  })
  same<Equal<readonly ClusterEvent[], ReturnType<typeof cluster.events.recent>>>()
}

export function metrics({ metrics: measured }: Cluster): void {
  const { snapshot, prometheus }: Metrics = measured
  same<Equal<ReturnType<typeof prometheus>, string>>()
  same<Equal<ReturnType<typeof snapshot>, MetricsSnapshot>>()
  const { families, diagnostic } = snapshot()
  same<Equal<typeof diagnostic, string | undefined>>()
  for (const family of families) {
    // @ts-expect-error only after its type was looked at
    void family.samples[0]!.value
    if (family.type === 'histogram') {
      const [sample] = family.samples
      same<Equal<typeof sample, HistogramSample | undefined>>()
    } else {
      same<Equal<'counter' | 'gauge', typeof family.type>>()
      same<Equal<number | undefined, (typeof family.samples)[number]['value'] | undefined>>()
    }
    // @ts-expect-error what is read is not to be written
    family.name = 'other'
  }
  // @ts-expect-error nor is the list
  families.push(families[0]!)
}

export function options(): void {
  const signaling = 'ws://localhost:8787/'
  void joinCluster('room', { signaling })
  void joinCluster('room', { signaling: [signaling] as const, signal: new AbortController().signal })
  void joinCluster('room', { signaling, token: async () => 'token', iceServers: [{ urls: ['stun:x'] }] })
  void joinCluster('room', { signaling, snapshot: false, tuning: { statusIntervalMs: 1 }, limits: {} })
  void joinCluster('room', { signaling, metrics: false })
  // @ts-expect-error signaling is missing
  void joinCluster('room', {})
  // @ts-expect-error the name is missing
  void joinCluster({ signaling })
  // @ts-expect-error no such option
  void joinCluster('room', { signaling, signalling: '' })
  // @ts-expect-error it can only be switched off
  void joinCluster('room', { signaling, snapshot: true })
  // @ts-expect-error on or off
  void joinCluster('room', { signaling, metrics: 'prometheus' })
  // @ts-expect-error no such tuning
  void joinCluster('room', { signaling, tuning: { statusInterval: 1 } })
  // @ts-expect-error a number
  void joinCluster('room', { signaling, maxLinks: '8' })
  // @ts-expect-error an option that is not given is left out, not undefined
  void joinCluster('room', { signaling, maxLinks: undefined })
  const given: ClusterOptions = { signaling, meta: { any: ['thing'] } }
  same<Equal<ReturnType<typeof joinCluster>, Promise<Cluster>>>()
  same<Equal<ReturnType<typeof openCluster>, OpeningCluster>>()
  same<Equal<OpeningCluster['ready'], Promise<void>>>()
  void openCluster('room', given)
}

const Counter = defineGrain('counter', (self) => {
  const count = self.state(0)
  return { add: (by: number) => (count.value += by) }
})

export async function grains(cluster: Cluster): Promise<void> {
  const signaling = 'ws://localhost:8787/'
  void joinCluster('room', { signaling, grains: [Counter], codec: valueCodec })
  // @ts-expect-error a reference hosts nothing
  void joinCluster('room', { signaling, grains: [grainRef<typeof Counter>('counter')] })
  // @ts-expect-error all of a codec
  void joinCluster('room', { signaling, codec: { encode: () => new Uint8Array(0) } })
  const likes = cluster.grain(Counter, 'likes')
  same<Equal<typeof likes, GrainProxy<MethodsOf<typeof Counter>>>>()
  same<Equal<ReturnType<typeof likes.add>, Promise<number>>>()
  await cluster.grain(grainRef<typeof Counter>('counter'), 'likes', { deadlineMs: 100 }).add(1)
  // @ts-expect-error not of that type
  await likes.add('1')
  // @ts-expect-error no such method
  await likes.subtract(1)
  // @ts-expect-error no such option
  cluster.grain(Counter, 'likes', { deadline: 100 })
}

export function values(cluster: Cluster): void {
  const cursor = cluster.peerState<{ x: number }>('cursor')
  cursor.set({ x: 1 })
  // @ts-expect-error not of that type
  cursor.set({ x: '1' })
  same<Equal<ReturnType<typeof cursor.get>, ReadonlyMap<NodeId, { x: number }>>>()
  // @ts-expect-error not to be written
  cursor.get().set('x', { x: 1 })
  cluster.setMeta({ name: 'Ada' })
  same<Equal<Member['meta'], unknown>>()
  // @ts-expect-error what others send is unknown until it is checked
  void cluster.self.meta.name
}

export async function disposal(): Promise<void> {
  await using cluster = await joinCluster('room', { signaling: 'ws://localhost/' })
  same<Equal<ReturnType<typeof cluster.leave>, Promise<void>>>()
}

export function errorCodes(code: ClusterErrorCode): string {
  switch (code) {
    case 'invalid-option':
    case 'signaling-unreachable':
    case 'refused':
    case 'authority-conflict':
    case 'schema-mismatch':
    case 'join-timeout':
    case 'aborted':
    case 'left':
    case 'unreachable':
    case 'queue-full':
    case 'quarantined':
    case 'unknown-member':
    case 'no-receiver':
    case 'dead-letter':
    case 'webrtc-unavailable':
    case 'relay-unavailable':
    case 'invalid-value':
    case 'too-large':
    case 'unknown-kind':
    case 'unknown-method':
    case 'version-mismatch':
    case 'invalid-arguments':
    case 'invalid-result':
    case 'grain-threw':
    case 'deadline':
    case 'deadlock':
    case 'chain-too-long':
    case 'activation-failed':
    case 'outcome-lost':
    case 'call-too-old':
    case 'state-missing':
    case 'state-limit':
    case 'invalid-state':
    case 'no-council':
      return code
    default:
      // a new code is not overlooked here
      return code satisfies never
  }
}
