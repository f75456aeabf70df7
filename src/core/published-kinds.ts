/**
 * Which kinds of grain a member hosts, and in which version, as it publishes them: `counter:1 cart:3,2`. Behind the
 * version of its methods come others that it gets along with.
 */

/** The key of peer state; see `membership/state-key.ts`. */
export const KINDS_KEY = '$kinds'

/** Versions of a kind's methods. */
export interface KindVersions {
  /** Its own. */
  readonly version: number
  /** Those that it can call, and be called by; its own among them. */
  readonly accepts: readonly number[]
}

/** By kind. */
export type PublishedKinds = ReadonlyMap<string, KindVersions>

export const formatKinds = (kinds: ReadonlyMap<string, KindVersions>): string =>
  [...kinds].map(([name, versions]) => formatKind(name, versions)).join(' ')

export const formatKind = (name: string, { version, accepts }: KindVersions): string =>
  `${name}:${[version, ...accepts.filter((other) => other !== version)].join(',')}`

/** What is not of this form is not read. */
export function parseKinds(text: string | undefined): PublishedKinds {
  if (text === undefined) return NO_KINDS
  const known = parsed.get(text)
  if (known) return known
  const kinds = new Map<string, KindVersions>()
  for (const part of text.split(' ')) {
    const match = FORM.exec(part)
    if (!match) continue
    const accepts = match[2]!.split(',').map(Number)
    kinds.set(match[1]!, { version: accepts[0]!, accepts })
  }
  if (parsed.size >= MAX_PARSED) parsed.clear()
  parsed.set(text, kinds)
  return kinds
}

/** Whether one of the two can call the other: whoever is newer knows of the older, mostly. */
export const getAlong = (one: KindVersions, other: KindVersions): boolean =>
  one.accepts.includes(other.version) || other.accepts.includes(one.version)

const FORM = /^([a-z][a-z0-9._-]{0,63}):([0-9]{1,9}(?:,[0-9]{1,9}){0,63})$/
const NO_KINDS: PublishedKinds = new Map()
/** Most members of a room publish the same. */
const MAX_PARSED = 64
const parsed = new Map<string, PublishedKinds>()
