/**
 * Tabs that host grains. `grains.html#<id>`: all are in one cluster; the tabs `a` and `b` are connected by a raw channel,
 * PeerJS and Trystero as well. What is measured is asked of `window.grainBench`.
 */
import { defineGrain, openCluster, type Cluster } from '../../src/index.ts'
import { Exercise } from './exercise.ts'
import { openHub } from './hub.ts'
import { announce, openPeerJsRequests } from './sides/peerjs.ts'
import { openRaw } from './sides/raw.ts'
import type { Ask } from './sides/requests.ts'
import type { Wire } from './sides/side.ts'
import { openTrystero } from './sides/trystero.ts'
import { Ticker } from './ticker.ts'

/** Grains of `brief` leave memory after this long without a call, in ms. */
export const BRIEF_MS = 4_000

export type Method = 'read' | 'add'
export type CrowdKind = 'idle' | 'brief'

/** What a question goes to: grains of these keys, or what they are compared with. */
export type Way =
  | { readonly name: 'raw' | 'PeerJS' | 'Trystero' | 'Trystero by hand' }
  | { readonly name: 'grains'; readonly method: Method; readonly keys: readonly string[] }

export interface Traffic {
  readonly messages: number
  readonly bytes: number
}

export interface Briefs {
  readonly activated: number
  readonly gone: number
  /** Among those that are gone: with a farewell. */
  readonly passivated: number
}

declare global {
  interface Window {
    /** The other tab may begin. */
    isReachable: boolean
    grainBench: {
      readonly cluster: Cluster
      /** Of keys, by the id of the tab that hosts them. */
      hostsOf(keys: readonly string[]): Promise<readonly string[]>
      /** Questions one after the other, each in ms. */
      oneByOne(way: Way, ms: number): Promise<number[]>
      /** Answers a second, with that many questions under way. */
      atOnce(way: Way, ms: number, underWay: number): Promise<number>
      /** Calls grains of `idle` until each of so many tabs hosts one; resolves with how many there are. */
      activateEverywhere(tabs: number): Promise<number>
      /** Calls that many grains, each once; resolves with the ms that it took. */
      activate(kind: CrowdKind, count: number): Promise<number>
      /** Grains of `brief` that have come into this tab's memory, and have left it; some because it lost them. */
      briefs(): Briefs
      /** What this tab has handed to links since it joined. */
      sent(): Traffic
      readonly ticker: Ticker
    }
  }
}

const TEXT = 'thirty-two bytes of plain text..'
/** Calls under way while a crowd is activated. */
const CROWD_UNDER_WAY = 256

const id = location.hash.slice(1)
const briefs = { activated: 0, gone: 0, passivated: 0 }

const Probe = defineGrain('probe', (self) => {
  const count = self.state(0)
  return {
    where: (): string => id,
    /** Changes nothing. */
    read: (text: string): string => text,
    add(text: string): string {
      count.value++
      return text
    },
  }
})
const Idle = defineGrain('idle', (self) => ({ ...counterOf(self.state(0)), where: (): string => id }), {
  idleMs: Infinity,
})
const Brief = defineGrain(
  'brief',
  (self) => {
    self.onActivate(() => void briefs.activated++)
    self.signal.addEventListener('abort', () => void briefs.gone++)
    self.onDeactivate(() => void briefs.passivated++)
    return counterOf(self.state(0))
  },
  { idleMs: BRIEF_MS },
)

const cluster = openCluster('grains', {
  signaling: `ws://${location.host}/`,
  grains: [Probe, Idle, Brief],
})
const asks = id === 'a' || id === 'b' ? await openOthers() : undefined
await cluster.ready
const grainOf = (key: string) => cluster.grain(Probe, key)

window.grainBench = {
  cluster,
  hostsOf: (keys) => Promise.all(keys.map((key) => grainOf(key).where())),
  async oneByOne(way, ms) {
    if (way.name === 'raw') return asks!.raw.echo(ms, TEXT.length)
    const ask = askOf(way)
    const times: number[] = []
    const end = performance.now() + ms
    for (let now = performance.now(); now < end;) {
      await ask(TEXT)
      const then = performance.now()
      times.push(then - now)
      now = then
    }
    return times
  },
  async atOnce(way, ms, underWay) {
    const ask = askOf(way)
    let answers = 0
    const start = performance.now()
    await inLines(underWay, async () => {
      if (performance.now() - start >= ms) return false
      await ask(TEXT)
      answers++
      return true
    })
    return (answers * 1_000) / (performance.now() - start)
  },
  async activateEverywhere(tabs) {
    const seen = new Set<string>()
    let count = 0
    while (seen.size < tabs) seen.add(await cluster.grain(Idle, `${count++}`).where())
    return count
  },
  async activate(kind, count) {
    const start = performance.now()
    const grain = (key: string) => cluster.grain(kind === 'idle' ? Idle : Brief, key)
    let next = 0
    await inLines(CROWD_UNDER_WAY, async () => {
      if (next >= count) return false
      await grain(`${next++}`).add()
      return true
    })
    return performance.now() - start
  },
  briefs: () => ({ ...briefs }),
  sent: () => ({
    messages: counter('grainmesh_messages_sent_total'),
    bytes: counter('grainmesh_bytes_sent_total'),
  }),
  ticker: new Ticker(),
}

function counterOf(count: { value: number }) {
  return {
    add(): void {
      count.value++
    },
  }
}

function askOf(way: Way): Ask {
  if (way.name === 'grains') {
    const grains = way.keys.map(grainOf)
    const { method } = way
    let next = 0
    return (text) => grains[next++ % grains.length]![method](text)
  }
  if (way.name === 'raw') throw new Error('a raw channel has no requests')
  return asks![way.name]
}

/** So many at a time, until each says that there is no more. */
async function inLines(count: number, step: () => Promise<boolean>): Promise<void> {
  const line = async (): Promise<void> => {
    while (await step());
  }
  await Promise.all(Array.from({ length: count }, line))
}

function counter(name: string): number {
  const family = cluster.metrics.snapshot().families.find((one) => one.name === name)
  return Number((family?.samples[0] as { value?: number } | undefined)?.value ?? Number.NaN)
}

async function openOthers() {
  const other = id === 'a' ? 'b' : 'a'
  const isInitiator = id === 'a'
  const hub = await openHub('grains', id)
  const wire: Wire = {
    send: (data) => hub.send({ to: other, topic: 'raw', data }),
    onSignal: () => undefined,
  }
  const early: unknown[] = []
  wire.onSignal = (data) => void early.push(data)
  hub.onMessage = ({ topic, data }) => topic === 'raw' && wire.onSignal(data)
  const peer = await announce(id)
  window.isReachable = true
  const raw = openRaw(wire, isInitiator)
  for (const data of early) wire.onSignal(data)
  const [channel, peerJs, trystero] = await Promise.all([
    raw,
    openPeerJsRequests(peer, other, isInitiator),
    openTrystero(),
  ])
  return {
    raw: new Exercise(channel),
    PeerJS: peerJs,
    Trystero: trystero.builtIn,
    'Trystero by hand': trystero.byHand,
  }
}
