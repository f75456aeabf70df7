import type { Lifecycle, LifecycleHandlers } from '../../ports.ts'

/**
 * Watches the page. Where there is no `document` (Node, a worker) the process counts as visible and nothing more is
 * reported.
 */
export function createLifecycle(): Lifecycle {
  return { watch: (handlers) => (typeof document === 'undefined' ? watchNothing : watchPage)(handlers) }
}

function watchNothing(handlers: LifecycleHandlers): () => void {
  handlers.onVisibility('visible')
  return () => undefined
}

function watchPage(handlers: LifecycleHandlers): () => void {
  const stop = new AbortController()
  const { signal } = stop
  const tellVisibility = () => {
    handlers.onVisibility(document.visibilityState === 'visible' ? 'visible' : 'hidden')
  }
  document.addEventListener('visibilitychange', tellVisibility, { signal })
  // the browser is about to stop this page's tasks; a moment is left to say so
  document.addEventListener('freeze', () => handlers.onVisibility('frozen-soon'), { signal })
  document.addEventListener('resume', tellVisibility, { signal })
  addEventListener('pagehide', () => handlers.onHide(), { signal })
  addEventListener(
    'pageshow',
    (event) => {
      if (event.persisted) handlers.onShow()
    },
    { signal },
  )
  tellVisibility()
  return () => stop.abort()
}
