/** Calls `listener` whenever the browser says that its network is back; nowhere else. Returns the way to stop. */
export function watchOnline(listener: () => void): () => void {
  if (typeof window === 'undefined') return () => undefined
  window.addEventListener('online', listener)
  return () => window.removeEventListener('online', listener)
}
