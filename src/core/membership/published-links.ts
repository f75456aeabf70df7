/**
 * The links a member publishes about itself: short names (`shortOf`) in hex, sorted, without separators. Short,
 * because every member holds every member's; a collision makes one link look longer than it is, no more. A member that
 * can have no direct links puts an "r" in front.
 */
import { hex8 } from './hash.ts'

/** 120 links of 8 digits stay below the limit of one peer state value. */
const MAX_PUBLISHED = 120
export const MAX_LINKS_BYTES = MAX_PUBLISHED * 8 + 1
const RELAY_ONLY = 'r'

const NONE: ReadonlySet<number> = new Set()

export function encodeLinks(shorts: readonly number[], relayOnly = false): string {
  const links = [...shorts]
    .sort((a, b) => a - b)
    .slice(0, MAX_PUBLISHED)
    .map(hex8)
    .join('')
  return relayOnly ? RELAY_ONLY + links : links
}

/** Whether a member says that it can have no direct links. */
export const saysRelayOnly = (value: string | undefined): boolean => value?.startsWith(RELAY_ONLY) ?? false

/**
 * What was read last is found again, up to so many: members say the same at every rejoin, and to many nodes that
 * share a process.
 */
const REMEMBERED = 2_048
const remembered = new Map<string, ReadonlySet<number>>()

/** Total: what is no list of links is no links. */
export function decodeLinks(text: string | undefined): ReadonlySet<number> {
  if (!text || text.length > MAX_LINKS_BYTES) return NONE
  const known = remembered.get(text)
  if (known) return known
  const links = decode(saysRelayOnly(text) ? text.slice(RELAY_ONLY.length) : text)
  if (remembered.size >= REMEMBERED) remembered.clear()
  remembered.set(text, links)
  return links
}

function decode(value: string): ReadonlySet<number> {
  if (value.length % 8 !== 0 || value.length > MAX_PUBLISHED * 8 || /[^0-9a-f]/.test(value)) return NONE
  const shorts = new Set<number>()
  for (let i = 0; i < value.length; i += 8) shorts.add(Number.parseInt(value.slice(i, i + 8), 16))
  return shorts
}
