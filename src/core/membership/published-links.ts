/**
 * The links a member publishes about itself: short names (`shortOf`) in hex, sorted, without separators. Short,
 * because every member holds every member's; a collision makes one link look longer than it is, no more.
 */
import { hex8 } from './hash.ts'

/** 120 links of 8 digits stay below the limit of one peer state value. */
const MAX_PUBLISHED = 120
export const MAX_LINKS_BYTES = MAX_PUBLISHED * 8

const NONE: ReadonlySet<number> = new Set()

export function encodeLinks(shorts: readonly number[]): string {
  return [...shorts]
    .sort((a, b) => a - b)
    .slice(0, MAX_PUBLISHED)
    .map(hex8)
    .join('')
}

/** Total: what is no list of links is no links. */
export function decodeLinks(value: string | undefined): ReadonlySet<number> {
  if (!value || value.length % 8 !== 0 || value.length > MAX_PUBLISHED * 8 || /[^0-9a-f]/.test(value))
    return NONE
  const shorts = new Set<number>()
  for (let i = 0; i < value.length; i += 8) shorts.add(Number.parseInt(value.slice(i, i + 8), 16))
  return shorts
}
