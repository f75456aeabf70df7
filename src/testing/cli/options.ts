/** What `npm run sim` understands. */
import { DEFAULT_MAX_LINKS } from '../../options.ts'
import { DEFAULT_FAULTS } from '../faults.ts'
import type { ActionKind } from '../faults.ts'
import type { GrainMode } from '../grain-load.ts'
import type { OverlayKind } from '../overlay-plan.ts'

interface CommonOptions {
  readonly nodes: number
  /** Seeds that are run: `firstSeed` and those after it. */
  readonly seeds: number
  readonly firstSeed: number
  readonly maxLinks: number
  /** Print what happens, line by line. Only with one seed. */
  readonly trace: boolean
  /** Worker threads. */
  readonly workers: number
}

export interface StormOptions extends CommonOptions {
  readonly scenario: 'storm'
  readonly model: 'core' | 'scalar'
  /** Only these faults; all if empty. */
  readonly faults: readonly ActionKind[]
  /** Seconds of every storm, right after the room has formed; else drawn from the seed, after two quiet phases. */
  readonly stormSeconds: number | undefined
  /** Whether grains are used, and what becomes of them where the room falls apart. */
  readonly grains: GrainMode | undefined
}

export type DetectionModel = 'core' | 'plain-swim'

export interface DetectionSimOptions extends CommonOptions {
  readonly scenario: 'detection'
  readonly models: readonly DetectionModel[]
  /** Plain SWIM runs only the first so many seeds. */
  readonly baselineSeeds: number
  /** Measured hours of each seed's room. */
  readonly hoursEach: number
  readonly throttledShare: number
  readonly throttle: 'timers' | 'slow'
  /** What the core has to keep for the exit code 0. */
  readonly limits: DetectionLimits
}

export interface DetectionLimits {
  /** Upper 95% bound of false `unreachable` per node-hour. */
  readonly falsePerHour?: number | undefined
  /** From a crash until every other live member shows it, p99. */
  readonly p99Ms?: number | undefined
}

export interface OverlaySimOptions extends CommonOptions {
  readonly scenario: 'overlay'
  /** Crowds that join from nothing, beside the seeds that begin with a formed cluster. */
  readonly joins: number
}

export type SimOptions = StormOptions | DetectionSimOptions | OverlaySimOptions

export type ParsedOptions =
  | { readonly kind: 'run'; readonly options: SimOptions }
  | { readonly kind: 'help' }
  /** One sentence for each flag that is wrong. */
  | { readonly kind: 'wrong'; readonly problems: readonly string[] }

interface NumberRange {
  readonly min: number
  readonly max: number
  readonly whole: boolean
}

const whole = (min: number, max: number): NumberRange => ({ min, max, whole: true })
const NUMBERS = {
  '--nodes': whole(1, 2_000),
  '--seeds': whole(1, 1_000_000),
  '--first': whole(0, Number.MAX_SAFE_INTEGER),
  '--seed': whole(0, Number.MAX_SAFE_INTEGER),
  '--max-links': whole(1, 500),
  '--workers': whole(1, 64),
  '--storm': whole(1, 3_600),
  '--joins': whole(0, 1_000),
  '--hours': { min: 0.04, max: 10_000, whole: false },
  '--throttled': { min: 0, max: 1, whole: false },
  '--baseline': { min: 0, max: 1, whole: false },
  '--max-false': { min: 0, max: 1_000, whole: false },
  '--max-p99': whole(1, 1_000_000),
} as const satisfies Record<string, NumberRange>

const WORDS = {
  '--scenario': ['storm', 'detection', 'overlay'],
  '--model': ['core', 'scalar', 'plain-swim'],
  '--throttle': ['timers', 'slow'],
  '--grains': ['available', 'majority', 'parted'],
  '--fault': Object.keys(DEFAULT_FAULTS.weights),
} as const satisfies Record<string, readonly string[]>

type NumberFlag = keyof typeof NUMBERS
type WordFlag = keyof typeof WORDS

/** Which flags make sense only in one scenario. */
const ONLY_IN = {
  '--fault': 'storm',
  '--storm': 'storm',
  '--grains': 'storm',
  '--joins': 'overlay',
  '--hours': 'detection',
  '--throttled': 'detection',
  '--throttle': 'detection',
  '--baseline': 'detection',
  '--max-false': 'detection',
  '--max-p99': 'detection',
} as const

/** A long run is many rooms of this long: they run side by side. */
const HOURS_EACH = 0.5

export function parseSimOptions(args: readonly string[], cpus: number): ParsedOptions {
  const given = readFlags(args)
  if (given === 'help') return { kind: 'help' }
  const { problems } = given
  const scenario = given.word('--scenario') ?? 'storm'
  for (const [flag, only] of Object.entries(ONLY_IN)) {
    if (given.has(flag) && only !== scenario) problems.push(`${flag} is for --scenario ${only}.`)
  }
  const common = commonOptions(given, cpus, scenario)
  const read = { storm: stormOptions, detection: detectionOptions, overlay: overlayOptions }[scenario]
  const options = read(given, common)
  return problems.length > 0 ? { kind: 'wrong', problems } : { kind: 'run', options }
}

/** The one command that runs a seed again, as it was; of one model, where a run has two. */
export function replayCommand(
  options: SimOptions,
  seed: number,
  which?: DetectionModel | OverlayKind,
): string {
  const parts = ['npm run sim --']
  if (options.scenario !== 'storm') parts.push(`--scenario ${options.scenario}`)
  parts.push(`--nodes ${options.nodes} --seed ${seed}`)
  if (options.maxLinks !== DEFAULT_MAX_LINKS) parts.push(`--max-links ${options.maxLinks}`)
  if (options.scenario === 'storm') {
    for (const fault of options.faults) parts.push(`--fault ${fault}`)
    if (options.stormSeconds !== undefined) parts.push(`--storm ${options.stormSeconds}`)
    if (options.grains !== undefined) parts.push(`--grains ${options.grains}`)
    if (options.model !== 'core') parts.push(`--model ${options.model}`)
    return parts.join(' ')
  }
  if (options.scenario === 'overlay') {
    if (which === 'join') parts.push('--joins 1')
    return parts.join(' ')
  }
  parts.push(`--hours ${options.hoursEach}`)
  if (options.throttledShare > 0) {
    parts.push(`--throttled ${options.throttledShare} --throttle ${options.throttle}`)
  }
  const only = which ?? (options.models.length === 1 ? options.models[0] : undefined)
  if (only !== undefined) parts.push(`--model ${only}`)
  return parts.join(' ')
}

function commonOptions(given: Flags, cpus: number, scenario: SimOptions['scenario']): CommonOptions {
  const seed = given.number('--seed')
  if (seed !== undefined && (given.has('--seeds') || given.has('--first'))) {
    given.problems.push('--seed runs one seed; leave out --seeds and --first.')
  }
  const usual = {
    storm: 50,
    detection: Math.ceil((given.number('--hours') ?? 1) / HOURS_EACH),
    overlay: 8,
  }[scenario]
  const seeds = seed === undefined ? (given.number('--seeds') ?? usual) : 1
  if (given.trace && seeds > 1) given.problems.push('--trace prints one run; name it with --seed N.')
  return {
    nodes: given.number('--nodes') ?? { storm: 20, detection: 100, overlay: 1_000 }[scenario],
    seeds,
    firstSeed: seed ?? given.number('--first') ?? 1,
    maxLinks: given.number('--max-links') ?? DEFAULT_MAX_LINKS,
    trace: given.trace ?? seed !== undefined,
    workers: given.number('--workers') ?? Math.max(1, cpus),
  }
}

function stormOptions(given: Flags, common: CommonOptions): StormOptions {
  const model = given.word('--model') ?? 'core'
  if (model === 'plain-swim') given.problems.push('--model plain-swim is for --scenario detection.')
  const faults = given.words('--fault') as ActionKind[]
  const workers = Math.min(common.seeds, common.workers)
  const stormSeconds = given.number('--storm')
  return {
    ...common,
    workers,
    scenario: 'storm',
    model: model === 'scalar' ? model : 'core',
    faults,
    stormSeconds,
    grains: given.word('--grains'),
  }
}

function detectionOptions(given: Flags, common: CommonOptions): DetectionSimOptions {
  const model = given.word('--model')
  if (model === 'scalar') given.problems.push('--model scalar is for --scenario storm.')
  const baseline = given.number('--baseline') ?? 1
  if (baseline < 1 && model !== undefined) given.problems.push('--baseline and --model exclude each other.')
  const models: DetectionModel[] =
    model === 'core' || model === 'plain-swim' ? [model] : baseline === 0 ? ['core'] : ['core', 'plain-swim']
  const { seeds } = common
  const hours = given.number('--hours') ?? (given.has('--seed') ? HOURS_EACH : 1)
  return {
    ...common,
    workers: Math.min(seeds * models.length, common.workers),
    scenario: 'detection',
    models,
    baselineSeeds: Math.ceil(seeds * baseline),
    hoursEach: hours / seeds,
    throttledShare: given.number('--throttled') ?? 0,
    throttle: given.word('--throttle') ?? 'timers',
    limits: { falsePerHour: given.number('--max-false'), p99Ms: given.number('--max-p99') },
  }
}

/** A seed that is named is a formed cluster, or with `--joins 1` a crowd. */
function overlayOptions(given: Flags, common: CommonOptions): OverlaySimOptions {
  if (given.has('--model')) given.problems.push('--model is not for --scenario overlay.')
  const joins = given.number('--joins') ?? 0
  const isCrowd = given.has('--seed') && joins > 0
  if (isCrowd && joins > 1) given.problems.push('--seed runs one room; with it, --joins is 0 or 1.')
  const seeds = isCrowd ? 0 : common.seeds
  return { ...common, seeds, joins, workers: Math.min(seeds + joins, common.workers), scenario: 'overlay' }
}

/** What was given, flag by flag, and what is wrong with it. */
class Flags {
  readonly problems: string[] = []
  trace: boolean | undefined
  readonly #given = new Map<string, (string | undefined)[]>()

  add(flag: string, text: string | undefined): void {
    this.#given.set(flag, [...(this.#given.get(flag) ?? []), text])
    if (flag in WORDS) this.#checkWord(flag as WordFlag, text)
    else this.#checkNumber(flag as NumberFlag, text)
  }

  has(flag: string): boolean {
    return this.#given.has(flag)
  }

  number(flag: NumberFlag): number | undefined {
    const number = Number(this.#given.get(flag)?.at(-1) ?? Number.NaN)
    return Number.isNaN(number) ? undefined : number
  }

  word<F extends WordFlag>(flag: F): (typeof WORDS)[F][number] | undefined {
    return this.words(flag).at(-1)
  }

  words<F extends WordFlag>(flag: F): (typeof WORDS)[F][number][] {
    const allowed: readonly string[] = WORDS[flag]
    return (this.#given.get(flag) ?? []).filter(
      (text) => text !== undefined && allowed.includes(text),
    ) as (typeof WORDS)[F][number][]
  }

  #checkWord(flag: WordFlag, text: string | undefined): void {
    const allowed: readonly string[] = WORDS[flag]
    if (text !== undefined && allowed.includes(text)) return
    this.problems.push(`${flag} must be ${list(allowed)}, got ${shown(text)}.`)
  }

  #checkNumber(flag: NumberFlag, text: string | undefined): void {
    const { min, max, whole: isWhole }: NumberRange = NUMBERS[flag]
    const isNumber = text !== undefined && (isWhole ? /^[0-9]+$/ : /^[0-9]+(\.[0-9]+)?$/).test(text)
    if (isNumber && Number(text) >= min && Number(text) <= max) return
    this.problems.push(
      `${flag} must be a ${isWhole ? 'whole number' : 'number'} from ${min} to ${max}, got ${shown(text)}.`,
    )
  }
}

function readFlags(args: readonly string[]): Flags | 'help' {
  const flags = new Flags()
  for (let i = 0; i < args.length; i++) {
    const [flag, inline] = splitFlag(args[i]!)
    if (flag === '--help' || flag === '-h') return 'help'
    if (flag === '--trace' || flag === '--no-trace') flags.trace = flag === '--trace'
    else if (flag in NUMBERS || flag in WORDS) flags.add(flag, inline ?? args[++i])
    else flags.problems.push(`${shown(args[i])} is no flag of this command.`)
  }
  return flags
}

function splitFlag(arg: string): [string, string | undefined] {
  const at = arg.indexOf('=')
  return at < 0 ? [arg, undefined] : [arg.slice(0, at), arg.slice(at + 1)]
}

const shown = (text: string | undefined): string => (text === undefined ? 'nothing' : `'${text}'`)
const list = (words: readonly string[]): string =>
  words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
