/**
 * Interleaved blocks: every way is measured once in each block, one after the other, in an order that turns. A figure is
 * the median of the ratios within blocks, so a machine that is slow for a while is slow for all.
 */
import { percentile } from '../../src/testing/index.ts'
import { expect, median, progress } from './table.ts'

export interface Blocks {
  /** Blocks that come first and count for nothing. */
  readonly warmUps: number
  readonly blocks: number
}

/** What `run` gives for each way, by block. */
export async function inBlocks<Name extends string, T>(
  what: string,
  { warmUps, blocks }: Blocks,
  names: readonly Name[],
  run: (name: Name) => Promise<T>,
): Promise<Map<Name, T[]>> {
  const taken = new Map<Name, T[]>(names.map((name) => [name, []]))
  for (let block = 1 - warmUps; block <= blocks; block++) {
    progress(block > 0 ? `${what}: block ${block} of ${blocks}` : `${what}: warming up`)
    const turn = (block + warmUps) % names.length
    for (const name of [...names.slice(turn), ...names.slice(0, turn)]) {
      const value = await run(name)
      if (block > 0) taken.get(name)!.push(value)
    }
  }
  return taken
}

/** Of each block: the one over the largest of the others. */
export function ratios<Name extends string>(
  values: ReadonlyMap<Name, readonly number[]>,
  name: Name,
  others: readonly Name[],
): number[] {
  return values
    .get(name)!
    .map((value, block) => value / Math.max(...others.map((other) => values.get(other)![block]!)))
}

export function mapValues<K, T, U>(map: ReadonlyMap<K, readonly T[]>, change: (value: T) => U): Map<K, U[]> {
  return new Map([...map].map(([name, values]) => [name, values.map(change)]))
}

/** Of values in any order. */
export function percentileOf(values: readonly number[], share: number): number {
  return percentile(
    values.toSorted((a, b) => a - b),
    share,
  )
}

/** Prints what is asked of the median, and whether it holds. */
export function judge(
  name: string,
  values: readonly number[],
  how: 'at least' | 'at most',
  goal: number,
): void {
  const value = median(values)
  const [low, high] = [percentileOf(values, 0.1), percentileOf(values, 0.9)]
  const range = `p10 ${low.toFixed(2)}, p90 ${high.toFixed(2)}`
  expect(
    `${name}: ${value.toFixed(2)} (${range}); asked: ${how} ${goal}`,
    how === 'at least' ? value >= goal : value <= goal,
  )
}
