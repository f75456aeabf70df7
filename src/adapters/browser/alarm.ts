/**
 * One alarm: wakes its owner once after a delay, in a hidden tab too. A hidden tab's main-thread timers are aligned
 * to a second or worse, a worker's are not, so a tiny worker keeps the time wherever the page may start one.
 */
export interface Alarm {
  /** Replaces what was asked for before. May wake early, never more than that. */
  set(delayMs: number): void
  /** Nothing to wake for. The worker ends after `IDLE_MS` without anything new. */
  clear(): void
  /** Whether a worker keeps the time now. */
  readonly worker: boolean
}

/** A worker without anything to do is kept this long, since the next timer is usually near. */
export const IDLE_MS = 5_000

/** `setTimeout` wraps around above 2^31 ms. */
const MAX_DELAY_MS = 2 ** 30

const SOURCE = `
let timer
onmessage = ({ data }) => {
  clearTimeout(timer)
  if (data >= 0) timer = setTimeout(() => postMessage('wake'), data)
}
postMessage('ready')
`

export function createAlarm(onWake: () => void): Alarm {
  let worker: Worker | undefined
  let ready = false
  let forbidden = false
  let timeout: ReturnType<typeof setTimeout> | undefined
  let idle: ReturnType<typeof setTimeout> | undefined
  let wakeAt: number | undefined

  const wake = () => {
    wakeAt = undefined
    onWake()
  }

  /** By the worker once it runs, by the main thread until then and where it never does. */
  const arm = () => {
    if (wakeAt === undefined) return
    const delay = Math.max(0, wakeAt - performance.now())
    clearTimeout(timeout)
    if (worker && ready) worker.postMessage(delay)
    else timeout = setTimeout(wake, delay)
  }

  const start = () => {
    if (worker || forbidden) return
    worker = startWorker()
    if (!worker) {
      forbidden = true
      return
    }
    worker.addEventListener('message', ({ data }) => {
      if (data === 'wake') {
        wake()
        return
      }
      ready = true
      arm()
    })
    // a Content-Security-Policy says no by this event; so does a worker that broke later
    worker.addEventListener('error', (event) => {
      event.preventDefault()
      forbidden = true
      stop()
      arm()
    })
  }

  const stop = () => {
    worker?.terminate()
    worker = undefined
    ready = false
  }

  return {
    set(delayMs) {
      clearTimeout(idle)
      idle = undefined
      wakeAt = performance.now() + Math.min(Math.max(delayMs, 0), MAX_DELAY_MS)
      start()
      arm()
    },
    clear() {
      wakeAt = undefined
      clearTimeout(timeout)
      if (!worker) return
      if (ready) worker.postMessage(-1)
      idle ??= setTimeout(stop, IDLE_MS)
    },
    get worker() {
      return ready
    },
  }
}

/** `undefined` where there is no page, whose timers alone need help, or where workers are not allowed. */
function startWorker(): Worker | undefined {
  if (typeof document === 'undefined' || typeof Worker === 'undefined') return undefined
  const url = URL.createObjectURL(new Blob([SOURCE], { type: 'text/javascript' }))
  const revoke = () => URL.revokeObjectURL(url)
  try {
    const worker = new Worker(url, { name: 'grainmesh-alarm' })
    worker.addEventListener('message', revoke, { once: true })
    worker.addEventListener('error', revoke, { once: true })
    return worker
  } catch {
    revoke()
    return undefined
  }
}
