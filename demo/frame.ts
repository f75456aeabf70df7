/** Pause between two renderings of a hidden page, in ms: it paints nothing, but its DOM must not go stale. */
const HIDDEN_INTERVAL_MS = 250

/**
 * Gathers any number of requests into one call of `render` at the next animation frame. A hidden page gets no
 * frames, so there a timer takes their place, and the first frame after the page comes back renders at once.
 */
export function createFrame(render: () => void): () => void {
  let frame: number | undefined
  let timer: number | undefined

  const run = (): void => {
    if (frame !== undefined) cancelAnimationFrame(frame)
    clearTimeout(timer)
    frame = timer = undefined
    render()
  }
  const request = (): void => {
    if (frame !== undefined || timer !== undefined) return
    if (document.hidden) timer = window.setTimeout(run, HIDDEN_INTERVAL_MS)
    else frame = requestAnimationFrame(run)
  }
  document.addEventListener('visibilitychange', () => {
    if (frame === undefined && timer === undefined) return
    // What was asked for on the other side of the change may never come: ask again on this one.
    if (!document.hidden) return run()
    if (frame !== undefined) cancelAnimationFrame(frame)
    frame = undefined
    timer ??= window.setTimeout(run, HIDDEN_INTERVAL_MS)
  })
  return request
}

/** Whether the user asked for less motion. Read at each use: it can change while the page is open. */
export const prefersReducedMotion = (): boolean => matchMedia('(prefers-reduced-motion: reduce)').matches
