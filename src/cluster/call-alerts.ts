/**
 * CallAlerts: tells when calls to a kind of grain are slow. It looks when a slow call ends, for only that can raise what
 * nineteen of twenty calls stay below.
 */

const WINDOW_MS = 10_000
/** Calls of a kind that are looked at: the newest, where more end in the window. */
const MAX_CALLS = 512
/** Kinds that are watched: more than one process hosts. */
const MAX_KINDS = 64

export interface SlowCalls {
  readonly kind: string
  readonly p95Ms: number
  readonly calls: number
}

interface Watched {
  /** The newest last. */
  ended: { readonly at: number; readonly ms: number }[]
  toldAt: number
}

export class CallAlerts {
  readonly #thresholdMs: number
  readonly #onSlow: (slow: SlowCalls) => void
  readonly #kinds = new Map<string, Watched>()

  constructor(thresholdMs: number, onSlow: (slow: SlowCalls) => void) {
    this.#thresholdMs = thresholdMs
    this.#onSlow = onSlow
  }

  ended(kind: string, ms: number, now: number): void {
    const watched = this.#watch(kind)
    if (!watched) return
    watched.ended.push({ at: now, ms })
    if (watched.ended.length >= 2 * MAX_CALLS) watched.ended = watched.ended.slice(-MAX_CALLS)
    if (ms <= this.#thresholdMs || now < watched.toldAt + WINDOW_MS) return
    const recent = watched.ended.slice(-MAX_CALLS).filter(({ at }) => at > now - WINDOW_MS)
    watched.ended = recent
    const sorted = recent.map((call) => call.ms).sort((a, b) => a - b)
    const p95Ms = sorted[Math.ceil(sorted.length * 0.95) - 1]!
    if (p95Ms <= this.#thresholdMs) return
    watched.toldAt = now
    this.#onSlow({ kind, p95Ms, calls: recent.length })
  }

  #watch(kind: string): Watched | undefined {
    const known = this.#kinds.get(kind)
    if (known || this.#kinds.size >= MAX_KINDS) return known
    const watched: Watched = { ended: [], toldAt: -Infinity }
    this.#kinds.set(kind, watched)
    return watched
  }
}
