import { INITIAL_WINDOW } from '../core/association/out-stream.ts'
import { ClusterError } from '../errors.ts'
import type { ClusterOptions, Limits, Tuning } from '../options.ts'
import { DEFAULT_LIMITS, DEFAULT_MAX_LINKS, DEFAULT_TUNING } from '../options.ts'
import { show } from '../grains/arguments.ts'
import type { Platform } from '../ports.ts'
import { kindProblems } from './hosted-kinds.ts'
import { encodeValue } from './values.ts'

/** Positions in a status bitmap. */
const MAX_MEMBERS = 8_192
/** Values of one member: what is left of 64 KiB when everything else in a record is counted. */
const MAX_RECORD_BYTES = 56 * 1024
const KNOWN = new Set<string>([
  'signaling',
  'grains',
  'codec',
  'meta',
  'token',
  'iceServers',
  'minLinks',
  'maxLinks',
  'relay',
  'joinTimeoutMs',
  'signal',
  'snapshot',
  'metrics',
  'callAlertMs',
  'queue',
  'partition',
  'tuning',
  'limits',
  'platform',
] satisfies (keyof ClusterOptions)[])

/** What is called of each port; one without methods is a function itself. */
const PORTS: Readonly<Record<keyof Platform, readonly string[]>> = {
  transport: ['open'],
  relay: ['open', 'setRate'],
  socket: [],
  signaling: ['open'],
  identity: ['claim'],
  keys: ['verify'],
  snapshot: ['load', 'save'],
  copies: ['load', 'save'],
  clock: ['now', 'timer'],
  random: [],
  lifecycle: ['watch'],
}
/** Ports that a process may be without. */
const MAY_BE_FALSE = new Set(['transport', 'relay', 'snapshot', 'copies'])

/** The least that tuning in counts, and limits, may be; all other tuning is in ms, and 0 is the least. */
const LEAST: Readonly<Record<string, number>> = {
  quietPeriods: 0,
  maxDials: 1,
  minObservers: 1,
  maxLocalHealth: 0,
  members: 1,
  windowBytes: INITIAL_WINDOW,
} satisfies Partial<Tuning & Limits>

/**
 * Looks at everything before anything starts.
 * @throws ClusterError `invalid-option`, with one sentence for each option that is missing or wrong
 */
export function validate(name: unknown, options: unknown): asserts options is ClusterOptions {
  const problems = [...nameProblems(name), ...optionProblems(options)]
  if (problems.length === 0) return
  throw new ClusterError('invalid-option', `The cluster was not joined: ${problems.join('; ')}.`, {
    problems,
  })
}

function nameProblems(name: unknown): string[] {
  if (typeof name !== 'string') return [`name must be a string, not ${show(name)}`]
  if (name.trim() === '') return ['name is empty']
  return name.length > 128 ? [`name has ${name.length} characters, at most 128 are allowed`] : []
}

function optionProblems(options: unknown): string[] {
  if (typeof options !== 'object' || options === null) {
    return [`options must be an object with at least \`signaling\`, not ${show(options)}`]
  }
  const given = options as Record<string, unknown>
  return [
    ...Object.keys(given).flatMap((key) => (KNOWN.has(key) ? [] : [`${key} is not an option`])),
    ...signalingProblems(given),
    ...kindProblems(given.grains),
    ...codecProblems(given.codec),
    ...metaProblems(given),
    ...iceProblems(given.iceServers),
    ...wholeNumber('maxLinks', given.maxLinks, 1, 120),
    ...minLinksProblem(given.minLinks, given.maxLinks),
    ...typeProblem('relay', given.relay, 'boolean'),
    ...wholeNumber('joinTimeoutMs', given.joinTimeoutMs, 1, 3_600_000),
    ...typeProblem('token', given.token, 'string', 'function'),
    ...(given.snapshot === undefined || given.snapshot === false
      ? []
      : ['snapshot may only be `false`; a store of your own goes into platform.snapshot']),
    ...typeProblem('metrics', given.metrics, 'boolean'),
    ...wholeNumber('callAlertMs', given.callAlertMs, 1, 600_000),
    ...signalProblems(given.signal),
    ...(['available', 'majority', undefined].includes(given.partition as string)
      ? []
      : [`partition must be 'available' or 'majority', not ${show(given.partition)}`]),
    ...(['reject-new', 'drop-oldest', undefined].includes(given.queue as string)
      ? []
      : [`queue must be 'reject-new' or 'drop-oldest', not ${show(given.queue)}`]),
    ...tuningProblems(given.tuning),
    ...limitProblems(given.limits),
    ...platformProblems(given.platform),
  ]
}

function minLinksProblem(minLinks: unknown, maxLinks: unknown): string[] {
  const most = Number.isInteger(maxLinks) ? (maxLinks as number) : DEFAULT_MAX_LINKS
  const problems = wholeNumber('minLinks', minLinks, 1, 120)
  if (problems.length > 0 || minLinks === undefined || (minLinks as number) <= most) return problems
  return [`minLinks is ${String(minLinks)}, more than maxLinks, which is ${most}`]
}

function signalingProblems({ signaling, platform }: Record<string, unknown>): string[] {
  if (signaling === undefined) {
    const replaced = typeof platform === 'object' && platform !== null && 'signaling' in platform
    return replaced ? [] : ['signaling is missing: give the WebSocket URL of a signaling server']
  }
  const urls: unknown[] = Array.isArray(signaling) ? signaling : [signaling]
  if (urls.length === 0) return ['signaling is an empty list: give at least one URL']
  return urls.flatMap((url) => {
    if (typeof url !== 'string') return [`signaling must be a URL, not ${show(url)}`]
    if (!/^wss?:\/\/[^\s/]+/.test(url) || !URL.canParse(url)) {
      return [`signaling must be a ws: or wss: URL, not "${url.slice(0, 100)}"`]
    }
    return url.includes('#') ? [`signaling must have no fragment: "${url.slice(0, 100)}"`] : []
  })
}

function codecProblems(codec: unknown): string[] {
  if (codec === undefined) return []
  const { encode, decode } = (codec ?? {}) as { encode?: unknown; decode?: unknown }
  const fits = typeof encode === 'function' && typeof decode === 'function'
  return fits ? [] : ['codec must be an object with the functions encode and decode']
}

function metaProblems({ meta, limits }: Record<string, unknown>): string[] {
  const max = (limits as { valueBytes?: unknown } | undefined)?.valueBytes
  try {
    encodeValue(meta, typeof max === 'number' ? max : DEFAULT_LIMITS.valueBytes, 'meta')
    return []
  } catch (error) {
    return [(error as Error).message]
  }
}

function iceProblems(servers: unknown): string[] {
  if (servers === undefined) return []
  if (!Array.isArray(servers)) return [`iceServers must be a list, not ${show(servers)}`]
  return servers.flatMap((server: unknown, i) => {
    const urls = (server as { urls?: unknown } | null)?.urls
    const list: unknown[] = Array.isArray(urls) ? urls : [urls]
    const fits =
      list.length > 0 && list.every((url) => typeof url === 'string' && /^(?:stun|turn)s?:/.test(url))
    return fits ? [] : [`iceServers[${i}].urls must be stun: or turn: URLs`]
  })
}

function signalProblems(signal: unknown): string[] {
  if (signal === undefined) return []
  const fits = typeof (signal as { addEventListener?: unknown } | null)?.addEventListener === 'function'
  return fits ? [] : ['signal must be an AbortSignal']
}

function platformProblems(platform: unknown): string[] {
  if (platform === undefined) return []
  if (typeof platform !== 'object' || platform === null) return ['platform must be an object of ports']
  return Object.entries(platform).flatMap(([name, port]: [string, unknown]) =>
    Object.hasOwn(PORTS, name)
      ? portProblems(name as keyof Platform, port)
      : [`platform.${name} is not a port`],
  )
}

function portProblems(name: keyof Platform, port: unknown): string[] {
  if (port === undefined || (port === false && MAY_BE_FALSE.has(name))) return []
  const methods = PORTS[name]
  if (methods.length === 0) return typeProblem(`platform.${name}`, port, 'function')
  const given = (port ?? {}) as Record<string, unknown>
  if (methods.every((method) => typeof given[method] === 'function')) return []
  const needed = `${MAY_BE_FALSE.has(name) ? '`false`, or ' : ''}an object with ${methods.join(' and ')}`
  return [`platform.${name} must be ${needed}, not ${show(port)}`]
}

function tuningProblems(given: unknown): string[] {
  const problems = numbers('tuning', given, DEFAULT_TUNING, false)
  if (problems.length > 0) return problems
  const tuning = { ...DEFAULT_TUNING, ...(given as Partial<Tuning> | undefined) }
  return (['suspicion', 'redial'] as const).flatMap((name) => {
    const [min, max] = [tuning[`${name}MinMs`], tuning[`${name}MaxMs`]]
    return min <= max ? [] : [`tuning.${name}MinMs is ${min}, more than tuning.${name}MaxMs, which is ${max}`]
  })
}

/** One sentence for each number that is none, or too small, or no count: all are counts, or those that `LEAST` has. */
function numbers(what: string, given: unknown, known: object, areCounts: boolean): string[] {
  if (given === undefined) return []
  if (typeof given !== 'object' || given === null) return [`${what} must be an object`]
  return Object.entries(given).flatMap(([key, value]: [string, unknown]) => {
    if (!Object.hasOwn(known, key)) return [`${what}.${key} is not an option`]
    const least = LEAST[key] ?? 0
    const isCount = areCounts || key in LEAST
    const fits = isCount ? Number.isInteger(value) : Number.isFinite(value)
    if (fits && (value as number) >= least) return []
    const needed = `a ${isCount ? 'whole ' : ''}number from ${least} on`
    return [`${what}.${key} must be ${needed}, not ${show(value)}`]
  })
}

/** A record must fit into one message of a link, and the table into the bitmap of a status frame. */
function limitProblems(given: unknown): string[] {
  const problems = numbers('limits', given, DEFAULT_LIMITS, true)
  if (problems.length > 0) return problems
  const { members, valueBytes, peerStateKeys } = {
    ...DEFAULT_LIMITS,
    ...(given as Partial<Limits> | undefined),
  }
  if (members > MAX_MEMBERS)
    problems.push(`limits.members is ${members}, at most ${MAX_MEMBERS} are possible`)
  const bytes = valueBytes * (peerStateKeys + 1)
  if (bytes > MAX_RECORD_BYTES) {
    const product = 'limits.valueBytes times one more than limits.peerStateKeys'
    problems.push(`${product} is ${bytes}, at most ${MAX_RECORD_BYTES} fit into a message`)
  }
  return problems
}

function wholeNumber(what: string, value: unknown, min: number, max: number): string[] {
  if (
    value === undefined ||
    (Number.isInteger(value) && (value as number) >= min && (value as number) <= max)
  )
    return []
  return [`${what} must be a whole number from ${min} to ${max}, not ${show(value)}`]
}

function typeProblem(what: string, value: unknown, ...types: string[]): string[] {
  return value === undefined || types.includes(typeof value)
    ? []
    : [`${what} must be a ${types.join(' or a ')}, not ${show(value)}`]
}
