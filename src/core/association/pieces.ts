/**
 * What the body of a segment holds: pieces of messages. A message is one run of pieces from a first to a last one, over
 * as many segments as it takes; many short messages share one segment.
 *
 *     body  = { piece }+
 *     piece = byte flags, [ text mailbox, varint total ], blob bytes        in brackets: of a first piece
 */
import { Reader } from '../wire/reader.ts'
import type { Writer } from '../wire/writer.ts'
import { utf8Length } from '../utf8.ts'

export const FIRST = 1
export const LAST = 2
export const TEXT = 4
const KNOWN_FLAGS = FIRST | LAST | TEXT

/** Longest name of a mailbox, in characters. */
export const MAX_MAILBOX = 64

/** Bytes that the shortest message takes in a body: an empty one for a mailbox of one character. */
export const MIN_MESSAGE = 1 + 2 + 1 + 1

/** What may stand on the wire: printable ASCII, so that a character is a byte. */
export function isMailboxName(name: string): boolean {
  if (name === knownName) return true
  if (!/^[\x21-\x7e][\x20-\x7e]{0,63}$/.test(name)) return false
  knownName = name
  return true
}

/** Most messages in a row are for the same one. */
let knownName: string | undefined

export interface Piece {
  readonly isFirst: boolean
  readonly isLast: boolean
  readonly isText: boolean
  /** Of a first piece, else empty. */
  readonly mailbox: string
  /** Bytes of the whole message; of a first piece. */
  readonly total: number
  /** A view on the body. */
  readonly bytes: Uint8Array
}

/** Bytes that a piece takes beside its own. */
export const headOf = (mailbox: string | undefined): number =>
  mailbox === undefined ? 1 + 3 : 1 + 1 + utf8Length(mailbox) + 4 + 3

export function writePiece(
  writer: Writer,
  flags: number,
  mailbox: string,
  total: number,
  bytes: Uint8Array,
): void {
  writer.byte(flags)
  if (flags & FIRST) writer.text(mailbox).varint(total)
  writer.blob(bytes)
}

/** Total: the pieces of a body, or what is wrong with it. */
export function readPieces(body: Uint8Array, maxTotal: number): readonly Piece[] | string {
  const reader = new Reader(body)
  let pieces: Piece[] | undefined
  while (!reader.done) {
    const flags = reader.byte('piece flags')
    if (flags > KNOWN_FLAGS) reader.fail(`piece flags ${flags} are unknown`)
    const isFirst = (flags & FIRST) !== 0
    const mailbox = isFirst ? reader.text('mailbox', MAX_MAILBOX) : ''
    const total = isFirst ? reader.varint('message', maxTotal, 'size of ') : 0
    const bytes = reader.view('piece', body.length)
    if (reader.problem) return reader.problem
    if (isFirst && !isMailboxName(mailbox)) return 'mailbox name is not allowed'
    const isLast = (flags & LAST) !== 0
    if (bytes.length === 0 && !(isFirst && isLast)) return 'a piece of a message is empty'
    const piece = { isFirst, isLast, isText: (flags & TEXT) !== 0, mailbox, total, bytes }
    // An array that is made for one takes a tenth of the room of one that grows.
    if (pieces) pieces.push(piece)
    else pieces = [piece]
  }
  return reader.problem ?? pieces ?? []
}
