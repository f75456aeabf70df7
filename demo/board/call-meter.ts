/** What the calls of this tab were like in the last ten seconds. */
export interface MeterReading {
  /** Calls a second, in slots of a fifth of a second, the oldest first. */
  readonly rates: readonly number[]
  /** The slowest call of each slot in ms; `undefined` where none ended. */
  readonly worst: readonly (number | undefined)[]
  /** Over the last two seconds. */
  readonly perSecond: number
  /** In ms; absent where nothing was called. */
  readonly p50: number | undefined
  readonly p95: number | undefined
}

const WINDOW_MS = 10_000
const SLOTS = 50
const SLOT_MS = WINDOW_MS / SLOTS
const RECENT_MS = 2_000
/** More are not kept: of a flood the newest say enough. */
const MAX_SAMPLES = 20_000

/** Measures calls as their caller sees them: from the line that calls to the line that has the result. */
export class CallMeter {
  readonly #ends: { readonly at: number; readonly ms: number }[] = []

  async measure<T>(call: () => Promise<T>): Promise<T> {
    const from = performance.now()
    try {
      return await call()
    } finally {
      const at = performance.now()
      this.#ends.push({ at, ms: at - from })
      if (this.#ends.length > MAX_SAMPLES) this.#ends.splice(0, MAX_SAMPLES / 2)
    }
  }

  /** Whether there is anything to show. */
  get isQuiet(): boolean {
    const newest = this.#ends.at(-1)
    return newest === undefined || newest.at < performance.now() - WINDOW_MS
  }

  read(): MeterReading {
    // slots stand still in time, so that a bar keeps its height while it walks to the left
    const end = (Math.floor(performance.now() / SLOT_MS) + 1) * SLOT_MS
    const from = end - WINDOW_MS
    const fresh = this.#ends.findIndex(({ at }) => at >= from)
    this.#ends.splice(0, fresh === -1 ? this.#ends.length : fresh)
    const rates = Array.from({ length: SLOTS }, () => 0)
    const worst = Array.from({ length: SLOTS }, (): number | undefined => undefined)
    let recent = 0
    for (const { at, ms } of this.#ends) {
      const slot = Math.min(SLOTS - 1, Math.floor((at - from) / SLOT_MS))
      rates[slot]! += 1_000 / SLOT_MS
      worst[slot] = Math.max(worst[slot] ?? 0, ms)
      if (at >= end - RECENT_MS) recent++
    }
    const times = Float64Array.from(this.#ends, ({ ms }) => ms).sort()
    const quantile = (share: number): number | undefined =>
      times[Math.min(times.length - 1, Math.floor(times.length * share))]
    return {
      rates,
      worst,
      perSecond: (recent * 1_000) / RECENT_MS,
      p50: quantile(0.5),
      p95: quantile(0.95),
    }
  }
}
