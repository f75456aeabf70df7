/** PROTOCOL.md as tests read it: its tables, and the bytes of its examples. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'vitest'

export const text = readFileSync(path.join(import.meta.dirname, '../../../PROTOCOL.md'), 'utf8')

/** Rows of the table whose first columns have these heads, cells without backticks. */
export function table(...heads: readonly string[]): string[][] {
  const rows = text.split('\n').map((line) => (line.startsWith('|') ? cellsOf(line) : undefined))
  const first = rows.findIndex((cells) => cells && heads.every((head, i) => cells[i] === head))
  expect(first, `a table with the head "${heads.join(', ')}"`).toBeGreaterThan(0)
  const end = rows.findIndex((cells, i) => i > first && cells === undefined)
  return rows.slice(first + 2, end).map((cells) => cells ?? [])
}

const cellsOf = (line: string): string[] =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim().replaceAll('`', ''))

export const numbersOf = (head: string): Record<string, number> =>
  Object.fromEntries(table(head).map(([name, value]) => [name, Number(value)]))

/** What stands between two headings. */
export const between = (from: string, to: string): string =>
  text.slice(text.indexOf(`\n${from}\n`), text.indexOf(`\n${to}\n`))

/** Golden examples by their names: `grains/...` are messages of grains, all others frames. */
export const examples: ReadonlyMap<string, string> = new Map(
  Array.from(text.matchAll(/```golden (\S+)\n([\s\S]*?)\n```/g), ([, name, block]) => [name!, block!]),
)

/** The bytes of an example: hex, "text" or 'text', and 00*n, each line up to its comment. */
export function exampleBytes(block: string): Uint8Array {
  const bytes: number[] = []
  const tokens = /"([^"]*)"|'([^']*)'|([0-9a-f]{2})\*(\d+)|([0-9a-f]{2})(?=\s|$)|(\S+)/g
  for (const line of block.split('\n')) {
    const code = line.replace(/ ;.*$/, '')
    for (const [, double, single, repeated, count, byte, unknown] of code.matchAll(tokens)) {
      expect(unknown, line).toBeUndefined()
      const quoted = double ?? single
      if (quoted !== undefined) bytes.push(...new TextEncoder().encode(quoted))
      else if (repeated !== undefined)
        for (let i = 0; i < Number(count); i++) bytes.push(Number.parseInt(repeated, 16))
      else bytes.push(Number.parseInt(byte!, 16))
    }
  }
  return Uint8Array.from(bytes)
}
