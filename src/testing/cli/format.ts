/** How reports write times. */

/** Milliseconds below 10 s, else seconds; a dash for none. */
export function duration(ms: number): string {
  if (Number.isNaN(ms)) return '-'
  return ms < 10_000 ? `${ms.toFixed(0)} ms` : `${(ms / 1_000).toFixed(1)} s`
}
