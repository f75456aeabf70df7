/**
 * How many are here, and who: readers of a page, players in a lobby. Each says so every few seconds and counts until
 * it has been silent for too long, so nobody has to say goodbye; whoever can does. Unlike the list of members this is
 * about people and places, one grain for each: the same tab may be in several, and one person in several tabs once.
 */
import { defineGrain, type GrainProxy, type MethodsOf } from '../src/index.ts'

/** Who is silent for this long is not here, in ms. */
export const SILENCE_MS = 15_000

export const Presence = defineGrain('presence', (self) => {
  // by name, when it was last heard of: by the clock of the tab that hosts this
  const seen = self.state(() => new Map<string, number>())
  const here = (): string[] => {
    const since = Date.now() - SILENCE_MS
    return [...seen.value].filter(([, at]) => at > since).map(([name]) => name)
  }
  // the list must not grow with everybody who was ever here
  const tidy = (): void => {
    const present = new Set(here())
    if (present.size === seen.value.size) return
    seen.update((draft) => {
      for (const name of draft.keys()) if (!present.has(name)) draft.delete(name)
    })
  }
  return {
    /** Somebody is here; says how many are. */
    beat(name: string): number {
      tidy()
      seen.update((draft) => void draft.set(name, Date.now()))
      return seen.value.size
    },
    leave(name: string): void {
      seen.update((draft) => void draft.delete(name))
    },
    count: (): number => here().length,
    names: (): readonly string[] => here().sort(),
  }
})

export interface StayOptions {
  readonly name: string
  /** Told after each beat how many are here. */
  readonly onCount?: (count: number) => void
  /** How to wait; a test brings its own. */
  readonly pause?: (ms: number) => Promise<void>
}

/**
 * Is here until the returned function is called. A beat that fails is not the end: three of them go into the silence
 * after which one counts as gone.
 *
 * ```ts
 * const leave = stay(cluster.grain(Presence, 'page-7'), { name: 'Ada', onCount: (n) => show(n) })
 * ```
 */
export function stay(
  presence: GrainProxy<MethodsOf<typeof Presence>>,
  { name, onCount, pause = sleep }: StayOptions,
): () => Promise<void> {
  const left = new AbortController()
  const beat = async (): Promise<void> => {
    while (!left.signal.aborted) {
      await presence.beat(name).then(onCount, () => {})
      await pause(SILENCE_MS / 3)
    }
  }
  void beat()
  return async () => {
    left.abort()
    // calls of one tab to one grain keep their order, so no beat comes after it
    await presence.leave(name)
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms))
