/** Names under which a member publishes values. */

export const MAX_KEY_BYTES = 64

/** Keys that start with this are the protocol's own. */
export const RESERVED_PREFIX = '$'

/** The members this one has links to, by their short names; see `published-links.ts`. */
export const LINKS_KEY = '$links'

const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype'])

/** What may stand on the wire: printable, at most 64 bytes, no name that an object already has. */
export function isStateKey(key: string): boolean {
  return /^[\x21-\x7e][\x20-\x7e]{0,63}$/.test(key) && !FORBIDDEN.has(key)
}

/** What a user may choose. */
export const isUserStateKey = (key: string): boolean => isStateKey(key) && !key.startsWith(RESERVED_PREFIX)
