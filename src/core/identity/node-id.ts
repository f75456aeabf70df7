import type { Random } from '../time.ts'

/** Stable address of a tab or process, kept across reloads: 20 characters of base32 (100 bits). */
export type Authority = string
/** One life of an authority: `<authority>.<generation>.<nonce>`. A removed nodeId never comes back. */
export type NodeId = string
/** Names a process (one page load) through all its rebirths: 16 characters of base32. */
export type ProcessId = string

export interface NodeIdParts {
  readonly authority: Authority
  readonly generation: number
  readonly nonce: string
}

/** Highest generation a nodeId may carry: 2^40, so that counting one a second lasts 34,000 years. */
export const MAX_GENERATION = 2 ** 40

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'
const AUTHORITY_LENGTH = 20
const AUTHORITY = /^[a-z2-7]{20}$/
const NODE_ID = /^([a-z2-7]{20})\.([1-9][0-9]{0,12})\.([a-z2-7]{10})$/
const PROCESS_ID = /^[a-z2-7]{16}$/

/** A name of `length` characters of base32 (RFC 4648, lower case), five random bits each. */
export function randomName(length: number, random: Random): string {
  let name = ''
  for (let i = 0; i < length; i++) name += ALPHABET[Math.floor(random() * 32)] ?? 'a'
  return name
}

export const randomAuthority = (random: Random): Authority => randomName(20, random)
export const randomProcessId = (random: Random): ProcessId => randomName(16, random)

/** Names a new life. The nonce keeps two lives apart even if a generation was ever used twice. */
export function createNodeId(authority: Authority, generation: number, random: Random): NodeId {
  return `${authority}.${generation}.${randomName(10, random)}`
}

/** NodeIds come in with every frame, most of them again and again: their parts are remembered, up to so many. */
const REMEMBERED = 8_192
let parsed = new Map<string, NodeIdParts>()
let parsedBefore = new Map<string, NodeIdParts>()

/** The parts of a nodeId, or `undefined` where the text is none. */
export function parseNodeId(text: string): NodeIdParts | undefined {
  const known = parsed.get(text)
  if (known) return known
  const parts = parsedBefore.get(text) ?? parse(text)
  if (parts) remember(text, parts)
  return parts
}

/**
 * Who this life is of, for a nodeId that is known to be one. The text that is remembered, since tables that are keyed by
 * it know its hash already; a piece cut out anew is hashed at every look.
 */
export const authorityOf = (nodeId: NodeId): Authority =>
  parseNodeId(nodeId)?.authority ?? nodeId.slice(0, AUTHORITY_LENGTH)

export const isNodeId = (text: string): boolean => parseNodeId(text) !== undefined
export const isAuthority = (text: string): boolean => AUTHORITY.test(text)
export const isProcessId = (text: string): boolean => PROCESS_ID.test(text)

/** Orders nodeIds by their text, the same on every member: decides initiators, ties and bitmap positions. */
export function compareNodeIds(a: NodeId, b: NodeId): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Orders two lives of one authority: the higher generation is the newer; the nonce decides a tie. */
export function compareLives(a: NodeIdParts, b: NodeIdParts): number {
  return a.generation - b.generation || compareNodeIds(a.nonce, b.nonce)
}

function parse(text: string): NodeIdParts | undefined {
  const match = NODE_ID.exec(text)
  if (!match) return undefined
  const generation = Number(match[2])
  if (generation > MAX_GENERATION) return undefined
  return { authority: match[1]!, generation, nonce: match[3]! }
}

/** What was not asked for since the last time that there were too many is forgotten. */
function remember(text: string, parts: NodeIdParts): void {
  if (parsed.size >= REMEMBERED) {
    parsedBefore = parsed
    parsed = new Map()
  }
  parsed.set(text, parts)
}
