/**
 * What a voter publishes about its council, as peer state: whoever has no vote finds it by that. Text, so that it can be
 * read where member state is shown.
 */
import type { ProcessId } from '../identity/node-id.ts'
import { isProcessId } from '../identity/node-id.ts'

/** The key of peer state; see `membership/state-key.ts`. */
export const COUNCIL_KEY = '$council'

export interface PublishedCouncil {
  /** Lineage and forks: `<16 characters>.<forks>`. */
  readonly group: string
  /** Where in the log these voters are. */
  readonly index: number
  /** The term that the publisher leads, or 0. */
  readonly leads: number
  readonly voters: readonly ProcessId[]
}

export const formatCouncil = ({ group, index, leads, voters }: PublishedCouncil): string =>
  `${group} ${index} ${leads} ${voters.join(',')}`

/** `undefined` for anything that is not what a voter publishes. */
export function parseCouncil(text: string | undefined): PublishedCouncil | undefined {
  const match = text === undefined ? undefined : FORM.exec(text)
  if (!match) return undefined
  const voters = match[4]!.split(',')
  if (!isGroup(match[1]!) || !voters.every(isProcessId)) return undefined
  return { group: match[1]!, index: Number(match[2]), leads: Number(match[3]), voters }
}

/** Of a name: what a council that is continued by force keeps of it, so that copies on disk are known to be of it. */
export const LINEAGE_LENGTH = 8

/** A council's name, and how often it was continued by force. */
export interface Lineage {
  readonly name: string
  readonly forks: number
}

export const formatGroup = ({ name, forks }: Lineage): string => `${name}.${forks}`

export function parseGroup(group: string): Lineage | undefined {
  const match = GROUP.exec(group)
  return match ? { name: match[1]!, forks: Number(match[2]) } : undefined
}

export const isGroup = (text: string): boolean => GROUP.test(text)

const FORM = /^(\S{1,40}) ([0-9]{1,15}) ([0-9]{1,15}) ([a-z2-7,]{16,200})$/
const GROUP = /^([a-z2-7]{16})\.([0-9]{1,6})$/
