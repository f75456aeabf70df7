/**
 * Grains in a bare page: `grains.html#<room>` joins that room as a host of counters. A counter keeps who has added to
 * it, so that a spec can tell what took effect, and how often.
 */
import { defineGrain, openCluster } from '../../src/index.ts'
import type { Cluster } from '../../src/index.ts'

export const Counter = defineGrain('counter', (self) => {
  const names = self.state<string[]>([])
  return {
    /** At which place it is now. */
    add(name: string): number {
      names.update((list) => void list.push(name))
      return names.value.length
    },
    read: (): readonly string[] => names.value,
    /** Answered without a change. */
    size: (): number => names.value.length,
  }
})

/** How one call ended. */
export interface Ended {
  readonly name: string
  readonly startedAt: number
  readonly endedAt: number
  readonly place?: number
  readonly code?: string
  readonly mayHaveRun?: boolean
}

export interface GrainTab {
  readonly cluster: Cluster
  readonly Counter: typeof Counter
  /** Calls of this page that have ended, oldest first. */
  readonly ended: Ended[]
  /** Adds once; what comes of it is in `ended`. */
  add(key: string, name: string): Promise<void>
}

declare global {
  interface Window {
    grains: GrainTab
    /** Put there by a spec that wants to know of calls of pages that are gone. */
    keepEnded?(ended: Ended): void
  }
}

const cluster = openCluster(location.hash.slice(1), {
  signaling: `ws://${location.host}/`,
  grains: [Counter],
})
const ended: Ended[] = []
window.grains = {
  cluster,
  Counter,
  ended,
  async add(key, name) {
    const startedAt = Date.now()
    const keep = (more: Partial<Ended>): void => {
      const end = { name, startedAt, endedAt: Date.now(), ...more }
      ended.push(end)
      window.keepEnded?.(end)
    }
    try {
      keep({ place: await cluster.grain(Counter, key).add(name) })
    } catch (error) {
      const { code, mayHaveRun } = error as { code?: string; mayHaveRun?: boolean }
      keep({ code: code ?? String(error), mayHaveRun: mayHaveRun ?? true })
    }
  },
}
