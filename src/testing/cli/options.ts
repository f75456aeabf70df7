/** What `npm run sim` understands. */

export interface SimOptions {
  readonly nodes: number
  /** Seeds that are run: `firstSeed` and those after it. */
  readonly seeds: number
  readonly firstSeed: number
  readonly model: 'core' | 'scalar'
  readonly maxLinks: number
  /** Print what happens, line by line. Only with one seed. */
  readonly trace: boolean
  /** Worker threads. */
  readonly workers: number
}

export type ParsedOptions =
  | { readonly kind: 'run'; readonly options: SimOptions }
  | { readonly kind: 'help' }
  /** One sentence for each flag that is wrong. */
  | { readonly kind: 'wrong'; readonly problems: readonly string[] }

export const HELP = `Runs the real core of Grainmesh in a simulated network, once for each seed, and checks its invariants.

  npm run sim -- [flags]

  --nodes N        members of the room                              (default 20, from 1 to 500)
  --seeds N        how many seeds to run                            (default 50)
  --first N        the first of them                                (default 1)
  --seed N         run this one seed and print what happens in it
  --model NAME     core, or scalar: the one-version baseline        (default core)
  --max-links N    full mesh up to N + 1 members, N links above     (default 31)
  --trace          every event, line by line (with --seed: default; --no-trace turns it off)
  --workers N      worker threads                                   (default: one for each CPU)
  --help           this text

Each run: the room forms, rests, changes, goes through a storm of faults, is healed, and must agree again.
The exit code is 1 if an invariant was violated, 2 if a flag is wrong. The scalar model is expected to diverge:
its divergence is counted, and the exit code is 0.
`

const NUMBERS = {
  '--nodes': [1, 500],
  '--seeds': [1, 1_000_000],
  '--first': [0, Number.MAX_SAFE_INTEGER],
  '--seed': [0, Number.MAX_SAFE_INTEGER],
  '--max-links': [1, 500],
  '--workers': [1, 64],
} as const

type NumberFlag = keyof typeof NUMBERS

export function parseSimOptions(args: readonly string[], cpus: number): ParsedOptions {
  const problems: string[] = []
  const numbers = new Map<NumberFlag, number>()
  let model: SimOptions['model'] = 'core'
  let trace: boolean | undefined
  for (let i = 0; i < args.length; i++) {
    const [flag, inline] = splitFlag(args[i]!)
    const value = (): string | undefined => inline ?? args[++i]
    if (flag === '--help' || flag === '-h') return { kind: 'help' }
    if (flag === '--trace' || flag === '--no-trace') trace = flag === '--trace'
    else if (flag === '--model') {
      const name = value()
      if (name === 'core' || name === 'scalar') model = name
      else problems.push(`--model must be core or scalar, got ${shown(name)}.`)
    } else if (flag in NUMBERS) {
      const number = readNumber(flag as NumberFlag, value(), problems)
      if (number !== undefined) numbers.set(flag as NumberFlag, number)
    } else problems.push(`${shown(args[i])} is no flag of this command.`)
  }
  const seed = numbers.get('--seed')
  if (seed !== undefined && (numbers.has('--seeds') || numbers.has('--first'))) {
    problems.push('--seed runs one seed; leave out --seeds and --first.')
  }
  const seeds = seed === undefined ? (numbers.get('--seeds') ?? 50) : 1
  if (trace && seeds > 1) problems.push('--trace prints one run; name it with --seed N.')
  if (problems.length > 0) return { kind: 'wrong', problems }
  const options: SimOptions = {
    nodes: numbers.get('--nodes') ?? 20,
    seeds,
    firstSeed: seed ?? numbers.get('--first') ?? 1,
    model,
    maxLinks: numbers.get('--max-links') ?? 31,
    trace: trace ?? seed !== undefined,
    workers: Math.min(seeds, numbers.get('--workers') ?? Math.max(1, cpus)),
  }
  return { kind: 'run', options }
}

/** The one command that runs a seed again, as it was. */
export function replayCommand(options: SimOptions, seed: number): string {
  const parts = [`npm run sim -- --nodes ${options.nodes} --seed ${seed}`]
  if (options.maxLinks !== 31) parts.push(`--max-links ${options.maxLinks}`)
  if (options.model !== 'core') parts.push(`--model ${options.model}`)
  return parts.join(' ')
}

function splitFlag(arg: string): [string, string | undefined] {
  const at = arg.indexOf('=')
  return at < 0 ? [arg, undefined] : [arg.slice(0, at), arg.slice(at + 1)]
}

function readNumber(flag: NumberFlag, text: string | undefined, problems: string[]): number | undefined {
  const [min, max] = NUMBERS[flag]
  const number = text !== undefined && /^[0-9]+$/.test(text) ? Number(text) : Number.NaN
  if (number >= min && number <= max) return number
  problems.push(`${flag} must be a whole number from ${min} to ${max}, got ${shown(text)}.`)
  return undefined
}

const shown = (text: string | undefined): string => (text === undefined ? 'nothing' : `'${text}'`)
