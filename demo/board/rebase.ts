/**
 * Two people who write on one card at once both keep what they wrote: each change is a piece that took the place of
 * another one in the text it was made in, and is put where that place is in the text that is there now.
 */

/** `after`, as it was made from `before`, made from `now`, which others have made from `before` meanwhile. */
export function rebase(before: string, after: string, now: string): string {
  if (before === now) return after
  const mine = changed(before, after)
  const theirs = changed(before, now)
  const piece = after.slice(mine.from, after.length - (before.length - mine.to))
  const shift = now.length - before.length
  const isBefore = mine.to < theirs.from || (mine.to === theirs.from && mine.from < mine.to)
  if (isBefore) return now.slice(0, mine.from) + piece + now.slice(mine.to)
  if (mine.from >= theirs.to) return now.slice(0, mine.from + shift) + piece + now.slice(mine.to + shift)
  // Both changed the same place: what either wrote stays.
  const at = theirs.to + shift
  return now.slice(0, at) + piece + now.slice(at)
}

/** Where a caret goes that was at `at` in `before`, when that becomes `now`. */
export function carry(at: number, before: string, now: string): number {
  const { from, to } = changed(before, now)
  if (at <= from) return at
  return at >= to ? at + now.length - before.length : from
}

/** The part of `before` that is another one in `after`. */
function changed(before: string, after: string): { readonly from: number; readonly to: number } {
  const most = Math.min(before.length, after.length)
  let from = 0
  while (from < most && before[from] === after[from]) from++
  let tail = 0
  while (tail < most - from && before.at(-1 - tail) === after.at(-1 - tail)) tail++
  return { from, to: before.length - tail }
}
