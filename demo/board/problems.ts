import { ClusterError, type ClusterErrorCode } from '../../src/index.ts'

/** What went wrong with a call, and what to do, for somebody who has never heard of grains. */
export function problemOf(error: unknown): string {
  if (!(error instanceof ClusterError)) return `Something went wrong: ${String(error).slice(0, 160)}`
  if (error.code === 'grain-threw') return causeOf(error)
  return WORDS[error.code] ?? error.message.slice(0, 200)
}

const WORDS: Partial<Readonly<Record<ClusterErrorCode, string>>> = {
  'no-council':
    'Too few tabs can be reached to decide who hosts the cards. Wait for the lost ones, or open the page anew; it is tried again.',
  deadline: 'No answer came in time. The tab that hosts it may just have gone; it is tried again.',
  'unknown-kind': 'No tab of this room hosts cards. Reload the older tabs.',
  'unknown-method': 'The tab that hosts it runs an older page. Reload that tab.',
  'version-mismatch': 'The other tabs run another version of this page. Reload them, or this one.',
  'state-missing': 'All tabs that kept it are gone. It comes back if one of them does.',
  'state-limit': 'It is too large to be kept. Shorten it.',
  'queue-full': 'Too many calls wait for it. Give it a moment.',
  left: 'This tab has left the room. Join again to go on.',
}

function causeOf({ cause, message }: ClusterError): string {
  const { message: said } = (cause ?? {}) as { message?: unknown }
  return typeof said === 'string' && said ? said.slice(0, 200) : message.slice(0, 200)
}
