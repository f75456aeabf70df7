/** Which kinds of grain a member hosts, and in which version, as it publishes them: `counter:1 cart:3`. */

/** The key of peer state; see `membership/state-key.ts`. */
export const KINDS_KEY = '$kinds'

/** Version by kind. */
export type PublishedKinds = ReadonlyMap<string, number>

export const formatKinds = (kinds: ReadonlyMap<string, { readonly version: number }>): string =>
  [...kinds].map(([name, { version }]) => `${name}:${version}`).join(' ')

/** What is not of this form is not read. */
export function parseKinds(text: string | undefined): PublishedKinds {
  if (text === undefined) return NO_KINDS
  const known = parsed.get(text)
  if (known) return known
  const kinds = new Map<string, number>()
  for (const part of text.split(' ')) {
    const match = FORM.exec(part)
    if (match) kinds.set(match[1]!, Number(match[2]))
  }
  if (parsed.size >= MAX_PARSED) parsed.clear()
  parsed.set(text, kinds)
  return kinds
}

const FORM = /^([a-z][a-z0-9._-]{0,63}):([0-9]{1,9})$/
const NO_KINDS: PublishedKinds = new Map()
/** Most members of a room publish the same. */
const MAX_PARSED = 64
const parsed = new Map<string, PublishedKinds>()
