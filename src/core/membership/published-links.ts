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

/** Total: what is no list of links is no links. */
export function decodeLinks(text: string | undefined): ReadonlySet<number> {
  const value = saysRelayOnly(text) ? text!.slice(RELAY_ONLY.length) : text
  if (!value || value.length % 8 !== 0 || value.length > MAX_PUBLISHED * 8 || /[^0-9a-f]/.test(value))
    return NONE
  const shorts = new Set<number>()
  for (let i = 0; i < value.length; i += 8) shorts.add(Number.parseInt(value.slice(i, i + 8), 16))
  return shorts
}
