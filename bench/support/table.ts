/** What benches print: one line about the machine, tables of numbers, and how far a long run has come. */
import os from 'node:os'
import { percentile } from '../../src/testing/index.ts'

type Cell = string | number | undefined

/** Numbers are rounded to `digits`; a missing cell is left empty. The first column is text, the others stand right. */
export function printTable(head: readonly string[], rows: readonly (readonly Cell[])[], digits = 0): void {
  const lines = [head, ...rows.map((row) => row.map((cell) => format(cell, digits)))]
  const widths = head.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)))
  for (const line of lines) {
    const cells = widths.map((width, column) => {
      const text = line[column] ?? ''
      return column === 0 ? text.padEnd(width) : text.padStart(width)
    })
    console.log(cells.join('   ').trimEnd())
  }
}

/** n, p50, p95 and max, as cells; empty ones for nothing measured. */
export function spread(values: readonly number[]): Cell[] {
  if (values.length === 0) return [0, undefined, undefined, undefined]
  const sorted = values.toSorted((a, b) => a - b)
  return [sorted.length, percentile(sorted, 0.5), percentile(sorted, 0.95), sorted.at(-1)]
}

export const SPREAD = ['n', 'p50', 'p95', 'max'] as const

export function median(values: readonly number[]): number {
  return percentile(
    values.toSorted((a, b) => a - b),
    0.5,
  )
}

/** Where figures come from, such as `2 x AMD EPYC, load 1.5; Chromium 141`: a load above the cores spoils times. */
export function machine(browserVersion?: string): string {
  const model = os.cpus()[0]?.model ?? 'unknown processor'
  const browser =
    browserVersion === undefined ? `Node ${process.versions.node}` : `Chromium ${browserVersion}`
  return `${os.availableParallelism()} x ${model}, load ${os.loadavg()[0]!.toFixed(1)}; ${browser}`
}

/** Prints what is asked of the product and whether it holds; the bench fails where it does not. */
export function expect(what: string, holds: boolean): void {
  console.log(`${holds ? 'holds ' : 'MISSED'}  ${what}`)
  if (!holds) process.exitCode = 1
}

/** Tells on standard error how far the run is, over the line before at a terminal. */
export function progress(text: string): void {
  process.stderr.write(process.stderr.isTTY ? `\r\u001B[K${text}` : `${text}\n`)
}

/** Ends the line that `progress` has written over. */
export function progressDone(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\u001B[K')
}

function format(cell: Cell, digits: number): string {
  if (cell === undefined || Number.isNaN(cell)) return ''
  return typeof cell === 'number' ? (Number.isInteger(cell) ? String(cell) : cell.toFixed(digits)) : cell
}
