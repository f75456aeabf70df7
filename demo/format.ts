/** "0.8 ms", "12 ms", "1.4 s"; empty where there is no figure. */
export function formatMs(ms: number | undefined): string {
  if (ms === undefined || !Number.isFinite(ms)) return ''
  if (ms < 0.05) return '0 ms'
  if (ms >= 999.5) return `${(ms / 1000).toFixed(1)} s`
  return `${ms < 9.95 ? ms.toFixed(1) : Math.round(ms)} ms`
}

/** "412 bytes", "2.1 kB". */
export const formatBytes = (bytes: number): string =>
  bytes < 1000 ? count(bytes, 'byte') : `${(bytes / 1000).toFixed(1)} kB`

/** The part of a nodeId that people compare: the first characters of the authority. */
export const shortNodeId = (nodeId: string): string => nodeId.slice(0, 6)

/** The first 8 of the 16 digits, in two groups. */
export const shortHash = (viewHash: string): string => `${viewHash.slice(0, 4)} ${viewHash.slice(4, 8)}`

/** "14:03:27", in local time. */
export function formatTime(at: number): string {
  const date = new Date(at)
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((n) => String(n).padStart(2, '0'))
    .join(':')
}

/** "1 member", "5 members". */
export const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`
