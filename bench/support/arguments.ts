import { parseArgs } from 'node:util'

/** A whole number that a bench takes as `--name`. */
export interface Count {
  readonly default: number
  /** Default 1. */
  readonly min?: number
}

/** The bench's arguments, all whole numbers. Ends the process where one is wrong, and says which, or asks for help. */
export const readCounts = <Name extends string>(
  counts: Readonly<Record<Name, Count>>,
): Record<Name, number> => readArguments(counts, []).counts

/** The same with flags, such as `--quick`, which are there or not. */
export function readArguments<Name extends string, Flag extends string>(
  counts: Readonly<Record<Name, Count>>,
  flags: readonly Flag[],
): { counts: Record<Name, number>; flags: Record<Flag, boolean> } {
  const names = Object.keys(counts) as Name[]
  const usage = [
    ...names.map(
      (name) => `  --${name} N${' '.repeat(Math.max(1, 12 - name.length))}default ${counts[name].default}`,
    ),
    ...flags.map((flag) => `  --${flag}`),
  ].join('\n')
  if (process.argv.includes('--help')) {
    console.log(`This bench takes\n${usage}`)
    process.exit()
  }
  try {
    return parse(counts, names, flags)
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\nThis bench takes\n${usage}`)
    process.exit(1)
  }
}

function parse<Name extends string, Flag extends string>(
  counts: Readonly<Record<Name, Count>>,
  names: readonly Name[],
  flags: readonly Flag[],
): { counts: Record<Name, number>; flags: Record<Flag, boolean> } {
  const options = Object.fromEntries([
    ...names.map((name) => [name, { type: 'string' as const }] as const),
    ...flags.map((flag) => [flag, { type: 'boolean' as const }] as const),
  ])
  const given: Readonly<Record<string, unknown>> = parseArgs({ options }).values
  const read = (name: Name): number => {
    const { default: usual, min = 1 } = counts[name]
    const text = given[name]
    if (typeof text !== 'string') return usual
    const count = Number(text)
    if (/^\d+$/.test(text) && count >= min) return count
    throw new Error(`--${name} must be a whole number from ${min} on, not "${text}"`)
  }
  return {
    counts: Object.fromEntries(names.map((name) => [name, read(name)])) as Record<Name, number>,
    flags: Object.fromEntries(flags.map((flag) => [flag, given[flag] === true])) as Record<Flag, boolean>,
  }
}
