/**
 * Bytes of Raft messages. They travel as the body of a routed frame, which has a version of its own.
 *
 *     message = byte kind, text group, text from, text to, varint term, body
 *     body    = the fields of the kind, in the order of `raft-messages.ts`
 *     entry   = byte kind, varint term, { blob command | voters | nothing }
 *     voters  = varint count, { text process id }*
 *
 * `decodeRaft` is total: it never throws, and names what is wrong. What it lets in is within its limits and makes
 * sense by itself; whether it makes sense to a council, the machine tells.
 */
import { isProcessId } from '../identity/node-id.ts'
import type { ProcessId } from '../identity/node-id.ts'
import { Reader } from '../wire/reader.ts'
import { Writer } from '../wire/writer.ts'
import type { Entry, RaftBody, RaftMessage } from './raft-messages.ts'

/** What one message may hold, whatever the options of this process are. */
export const RaftLimits = {
  groupBytes: 64,
  /** One command at least fits. */
  messageBytes: 40 * 1024,
  commandBytes: 32 * 1024,
  entries: 1024,
  voters: 16,
  snapshotBytes: 16 * 1024 * 1024,
  /** Of entries that a follower keeps without knowing them to be committed. A leader has a quarter of it at most. */
  uncommittedBytes: 1024 * 1024,
  /** Rest of a lease. */
  waitMs: 60_000,
  /** Terms, indexes and stamps: far beyond any use, and adding to them stays exact. */
  counter: 2 ** 48,
} as const

export type DecodedRaft =
  { readonly ok: true; readonly message: RaftMessage } | { readonly ok: false; readonly reason: string }

const KINDS: readonly RaftMessage['kind'][] = [
  'vote',
  'voted',
  'append',
  'appended',
  'conflict',
  'install',
  'installed',
  'timeout-now',
]
const ENTRIES: readonly Entry['kind'][] = ['command', 'no-op', 'voters']

const PRE = 1
const TRANSFER = 2
const GRANTED = 2

const scratch = new Writer(1024)

export function encodeRaft(message: RaftMessage): Uint8Array {
  const { group, from, to, term } = message
  const w = scratch.reset().byte(KINDS.indexOf(message.kind))
  w.text(group).text(from).text(to).varint(term)
  writeBody(w, message)
  return w.take()
}

export function decodeRaft(bytes: Uint8Array): DecodedRaft {
  if (bytes.length > RaftLimits.messageBytes) {
    const reason = `raft message has ${bytes.length} bytes, over its limit of ${RaftLimits.messageBytes}`
    return { ok: false, reason }
  }
  const r = new Reader(bytes)
  const kind = KINDS[r.byte('raft kind')]
  if (!kind) return { ok: false, reason: r.problem ?? 'raft kind is unknown' }
  const group = r.text('council name', RaftLimits.groupBytes)
  const from = readProcess(r, 'sender')
  const to = readProcess(r, 'receiver')
  const term = readCounter(r, 'term')
  const body = readBody(r, kind)
  if (!r.problem && !r.done) r.fail(`raft ${kind} has ${r.remaining} bytes too many`)
  if (r.problem) return { ok: false, reason: r.problem }
  return { ok: true, message: { group, from, to, term, ...body } }
}

function writeBody(w: Writer, body: RaftBody): void {
  switch (body.kind) {
    case 'vote':
      w.byte(flag(body.pre, PRE) | flag(body.transfer, TRANSFER))
      w.varint(body.lastIndex).varint(body.lastTerm)
      return
    case 'voted':
      w.byte(flag(body.pre, PRE) | flag(body.granted, GRANTED))
      w.varint(body.asked).varint(body.waitMs)
      return
    case 'append':
      w.varint(body.stamp).varint(body.previousIndex).varint(body.previousTerm).varint(body.commit)
      w.varint(body.entries.length)
      for (const entry of body.entries) writeEntry(w, entry)
      return
    case 'appended':
      w.varint(body.stamp).varint(body.match)
      return
    case 'conflict':
      w.varint(body.stamp).varint(body.previousIndex).varint(body.conflictIndex).varint(body.conflictTerm)
      return
    case 'install':
      w.varint(body.stamp).varint(body.index).varint(body.indexTerm)
      writeVoters(w, body.voters)
      w.varint(body.size).varint(body.offset).blob(body.bytes)
      return
    case 'installed':
      w.varint(body.stamp).varint(body.index).varint(body.size).varint(body.received)
      return
    case 'timeout-now':
      w.varint(body.stamp)
  }
}

function readBody(r: Reader, kind: RaftMessage['kind']): RaftBody {
  switch (kind) {
    case 'vote': {
      const flags = readFlags(r, 'vote flags', PRE | TRANSFER)
      const lastIndex = readCounter(r, 'last index')
      const lastTerm = readCounter(r, 'last term')
      return { kind, pre: (flags & PRE) > 0, transfer: (flags & TRANSFER) > 0, lastIndex, lastTerm }
    }
    case 'voted': {
      const flags = readFlags(r, 'voted flags', PRE | GRANTED)
      const asked = readCounter(r, 'asked term')
      const waitMs = r.varint('wait for a lease', RaftLimits.waitMs)
      return { kind, pre: (flags & PRE) > 0, asked, granted: (flags & GRANTED) > 0, waitMs }
    }
    case 'append': {
      const stamp = readCounter(r, 'stamp')
      const previousIndex = readCounter(r, 'previous index')
      const previousTerm = readCounter(r, 'previous term')
      const commit = readCounter(r, 'commit index')
      const entries = readList(r, 'entries', RaftLimits.entries, readEntry)
      if (previousIndex + entries.length > RaftLimits.counter) r.fail('entries are past the last index')
      return { kind, stamp, previousIndex, previousTerm, commit, entries }
    }
    case 'appended':
      return { kind, stamp: readCounter(r, 'stamp'), match: readCounter(r, 'matching index') }
    case 'conflict': {
      const stamp = readCounter(r, 'stamp')
      const previousIndex = readCounter(r, 'previous index')
      const conflictIndex = readCounter(r, 'conflicting index')
      return { kind, stamp, previousIndex, conflictIndex, conflictTerm: readCounter(r, 'conflicting term') }
    }
    case 'install':
      return readInstall(r)
    case 'installed': {
      const stamp = readCounter(r, 'stamp')
      const index = readCounter(r, 'snapshot index')
      const size = r.varint('snapshot size', RaftLimits.snapshotBytes)
      const received = r.varint('received bytes', RaftLimits.snapshotBytes)
      if (received > size) r.fail('more is received than the snapshot has')
      return { kind, stamp, index, size, received }
    }
    case 'timeout-now':
      return { kind, stamp: readCounter(r, 'stamp') }
  }
}

function readInstall(r: Reader): RaftBody {
  const stamp = readCounter(r, 'stamp')
  const index = readCounter(r, 'snapshot index')
  const indexTerm = readCounter(r, 'snapshot term')
  const voters = readVoters(r)
  const size = r.varint('snapshot size', RaftLimits.snapshotBytes)
  const offset = r.varint('snapshot offset', RaftLimits.snapshotBytes)
  const bytes = r.blob('snapshot part', RaftLimits.messageBytes)
  if (!r.problem && voters.length === 0) r.fail('a snapshot has no voters')
  if (!r.problem && offset + bytes.length > size) r.fail('snapshot part is past its end')
  if (!r.problem && bytes.length === 0 && offset < size) r.fail('snapshot part is empty')
  return { kind: 'install', stamp, index, indexTerm, voters, size, offset, bytes }
}

function writeEntry(w: Writer, entry: Entry): void {
  w.byte(ENTRIES.indexOf(entry.kind)).varint(entry.term)
  if (entry.kind === 'command') w.blob(entry.command)
  else if (entry.kind === 'voters') writeVoters(w, entry.voters)
}

function readEntry(r: Reader): Entry {
  const kind = ENTRIES[r.byte('entry kind')]
  const term = readCounter(r, 'entry term')
  switch (kind) {
    case 'command':
      return { kind, term, command: r.blob('command', RaftLimits.commandBytes) }
    case 'voters': {
      const voters = readVoters(r)
      if (!r.problem && voters.length === 0) r.fail('an entry names no voters')
      return { kind, term, voters }
    }
    case 'no-op':
      return { kind, term }
    default:
      r.fail('entry kind is unknown')
      return { kind: 'no-op', term }
  }
}

function writeVoters(w: Writer, voters: readonly ProcessId[]): void {
  w.varint(voters.length)
  for (const voter of voters) w.text(voter)
}

function readVoters(r: Reader): ProcessId[] {
  const voters = readList(r, 'voters', RaftLimits.voters, (reader) => readProcess(reader, 'voter'))
  if (new Set(voters).size < voters.length) r.fail('a voter is named twice')
  return voters
}

function readProcess(r: Reader, what: string): ProcessId {
  const process = r.text(what, 16)
  if (!r.problem && !isProcessId(process)) r.fail(`${what} is malformed`)
  return process
}

const readCounter = (r: Reader, what: string): number => r.varint(what, RaftLimits.counter)

function readFlags(r: Reader, what: string, known: number): number {
  const flags = r.byte(what)
  if ((flags & ~known) !== 0) r.fail(`${what} ${flags} are unknown`)
  return flags
}

/** Stops at the first problem, so that a hostile count costs no more than the bytes that came with it. */
function readList<T>(r: Reader, what: string, max: number, read: (r: Reader) => T): T[] {
  const count = r.varint(what, max, 'count of ')
  const list: T[] = []
  for (let i = 0; i < count && !r.problem; i++) list.push(read(r))
  return list
}

const flag = (isSet: boolean, bit: number): number => (isSet ? bit : 0)
