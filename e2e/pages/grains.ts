/**
 * Grains in a bare page: `grains.html#<room>` joins that room as a host of counters. A counter keeps who has added to
 * it, so that a spec can tell what took effect, and how often. With `?persist` counters are kept on disk.
 */
import { defineGrain, openCluster } from '../../src/index.ts'
import type { Cluster, ClusterError, GrainContext } from '../../src/index.ts'
import type { GrainView } from './grain-view.ts'
import { viewOfGrains } from './grain-view.ts'

/** Another one after each load. */
const page = crypto.randomUUID().slice(0, 8)

const setup = (self: GrainContext) => {
  const names = self.state<string[]>([])
  return {
    /** At which place it is now, and the page that put it there. */
    add(name: string): { place: number; host: string } {
      names.update((list) => void list.push(name))
      return { place: names.value.length, host: page }
    },
    read: (): readonly string[] => names.value,
    /** Answered without a change. */
    size: (): number => names.value.length,
    /** The page that hosts it now. */
    where: (): string => page,
    clear: (): void => self.clear(),
  }
}

export const Counter = defineGrain('counter', setup, { persist: location.search === '?persist' })

/** How one call ended. */
export interface Ended {
  /** Of the page that called. */
  readonly page: string
  readonly key: string
  readonly name: string
  readonly startedAt: number
  readonly endedAt: number
  readonly place?: number
  readonly host?: string
  readonly code?: string
  readonly mayHaveRun?: boolean
  /** How often it was sent. */
  readonly attempts?: number
}

export interface GrainTab {
  readonly cluster: Cluster
  readonly Counter: typeof Counter
  readonly page: string
  /** Calls of this page that have ended, oldest first. */
  readonly ended: Ended[]
  /** Adds once; what comes of it is in `ended`. */
  add(key: string, name: string): Promise<void>
  /** Adds again and again, with a pause after each, in ms. Another key takes the place of the one before. */
  keepAdding(key: string, pauseMs: number): void
  /** Resolves once the last call has ended. */
  stopAdding(): Promise<void>
  read(key: string): Promise<readonly string[]>
  where(key: string): Promise<string>
  look(keys: readonly string[]): GrainView | undefined
}

declare global {
  interface Window {
    grains: GrainTab
    /** Put there by a spec that wants to know of calls of pages that are gone: an `Ended` as JSON. */
    keepEnded?(ended: string): void
  }
}

const cluster = openCluster(location.hash.slice(1), {
  signaling: `ws://${location.host}/`,
  grains: [Counter],
})
const ended: Ended[] = []
let addsTo: { readonly key: string; readonly pauseMs: number } | undefined
let adding: Promise<void> | undefined
let pauses: Worker | undefined

window.grains = {
  cluster,
  Counter,
  page,
  ended,
  async add(key, name) {
    const startedAt = Date.now()
    const keep = (more: Partial<Ended>): void => {
      const end = { page, key, name, startedAt, endedAt: Date.now(), ...more }
      ended.push(end)
      window.keepEnded?.(JSON.stringify(end))
    }
    try {
      keep(await cluster.grain(Counter, key).add(name))
    } catch (error) {
      const { code, mayHaveRun, attempts } = error as Partial<ClusterError>
      keep({ code: code ?? String(error), mayHaveRun: mayHaveRun ?? true, attempts: attempts ?? 0 })
    }
  },
  keepAdding(key, pauseMs) {
    addsTo = { key, pauseMs }
    adding ??= addOn()
  },
  async stopAdding() {
    addsTo = undefined
    await adding
  },
  read: (key) => cluster.grain(Counter, key).read(),
  where: (key) => cluster.grain(Counter, key).where(),
  look: (keys) => viewOfGrains('counter', keys),
}

async function addOn(): Promise<void> {
  let n = 0
  for (let to = addsTo; to; to = addsTo) {
    const { key, pauseMs } = to
    await window.grains.add(key, `${page}-${n++}`)
    await pause(pauseMs)
  }
  adding = undefined
}

/** By a worker, since a hidden page's own timers are slow. One at a time. */
function pause(ms: number): Promise<unknown> {
  pauses ??= new Worker(
    URL.createObjectURL(new Blob(['onmessage = ({ data }) => setTimeout(() => postMessage(0), data)'])),
  )
  pauses.postMessage(ms)
  return new Promise((resolve) => pauses!.addEventListener('message', resolve, { once: true }))
}
