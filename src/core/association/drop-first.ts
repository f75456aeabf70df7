/** Without the array that `splice` returns, where it is one. */
export function dropFirst(items: unknown[], count: number): void {
  if (count === 1) items.shift()
  else if (count > 1) items.splice(0, count)
}
