/** Bodies of frames, written. `decode.ts` is its mirror: keep the order of fields the same in both. */
import type { Accusation, SelfRegister } from '../membership/record.ts'
import type { DigestEntry, Frame, OriginRange } from './frames.ts'
import { STREAMS, WIRE_MAX, WIRE_MIN } from './frames.ts'
import { RANKS, REFUSALS, STATUSES, VISIBILITIES } from './kinds.ts'
import type { Writer } from './writer.ts'

const HAS_DIGEST = 1
const HAS_MEMORY = 2
const HAS_SELF = 1
const HAS_ACCUSATION = 2

export function writeBody(w: Writer, frame: Frame): void {
  switch (frame.kind) {
    case 'hello':
      w.varint(frame.minVersion).varint(frame.maxVersion).text(frame.cluster).text(frame.nodeId)
      if (frame.maxVersion < WIRE_MIN || frame.minVersion > WIRE_MAX || !frame.own) return
      w.raw(frame.nonce).blob(frame.publicKey)
      writeRange(w, frame.own)
      for (const hash of frame.buckets) w.word(hash)
      w.byte((frame.digest ? HAS_DIGEST : 0) | (frame.remembered ? HAS_MEMORY : 0))
      if (frame.digest) writeDigest(w, frame.digest)
      for (const hash of frame.remembered ?? []) w.word(hash)
      return
    case 'recall':
      w.word(frame.confirmed.low).word(frame.confirmed.high)
      return
    case 'proof':
      w.blob(frame.signature)
      return
    case 'accept':
      w.varint(frame.version)
      return
    case 'refuse':
      w.byte(REFUSALS.indexOf(frame.code))
        .text(frame.reason)
        .text(frame.kept ?? '')
      return
    case 'buckets':
      for (const hash of frame.buckets) w.word(hash)
      return
    case 'digest':
      w.word(frame.mask.low).word(frame.mask.high)
      writeDigest(w, frame.entries)
      return
    case 'delta':
      w.varint(frame.ranges.length)
      for (const range of frame.ranges) writeRange(w, range)
      return
    case 'missing':
      w.varint(frame.ranges.length)
      for (const range of frame.ranges) w.text(range.nodeId).varint(range.from)
      return
    case 'status':
      w.word(frame.viewHi).word(frame.viewLo).word(frame.content).blob(frame.published)
      return
    case 'ping':
    case 'ack':
      w.varint(frame.token)
      return
    case 'probe':
      w.text(frame.subject).varint(frame.token)
      return
    case 'probed':
      w.text(frame.subject)
        .varint(frame.token)
        .byte(frame.alive ? 1 : 0)
      return
    case 'goodbye':
      w.text(frame.reason)
      return
    case 'unlink':
      return
    case 'segment':
      w.byte(STREAMS.indexOf(frame.stream)).byte(frame.more ? 1 : 0)
      w.varint(frame.sequence).varint(frame.settled).blob(frame.body)
      return
    case 'receipt':
      w.byte(STREAMS.indexOf(frame.stream)).varint(frame.received).varint(frame.taken).varint(frame.limit)
      w.varint(frame.refused.length)
      for (const number of frame.refused) w.varint(number)
      return
    case 'datagram':
      w.blob(frame.body)
      return
    case 'signal':
      w.text(frame.data)
      return
    case 'trace':
      w.varint(frame.token)
      return
    case 'traced':
      w.varint(frame.token).varint(frame.hops.length)
      for (const short of frame.hops) w.word(short)
  }
}

function writeDigest(w: Writer, entries: readonly DigestEntry[]): void {
  w.varint(entries.length)
  for (const { nodeId, counter, accusation } of entries) {
    w.text(nodeId)
      .varint(counter)
      .byte(accusation ? RANKS.indexOf(accusation.rank) + 1 : 0)
    if (accusation) w.varint(accusation.incarnation).word(accusation.observers)
  }
}

function writeRange(w: Writer, range: OriginRange): void {
  w.text(range.nodeId).varint(range.from).varint(range.to).varint(range.floor)
  w.byte((range.self ? HAS_SELF : 0) | (range.accusation ? HAS_ACCUSATION : 0))
  if (range.self) writeSelf(w, range.self)
  if (range.accusation) writeAccusation(w, range.accusation)
  w.varint(range.entries.length)
  for (const { key, version, value } of range.entries) {
    w.text(key)
      .varint(version)
      .byte(value === undefined ? 0 : 1)
    if (value !== undefined) w.text(value)
  }
}

function writeSelf(w: Writer, self: SelfRegister): void {
  w.varint(self.incarnation).varint(self.counter).byte(STATUSES.indexOf(self.status))
  w.text(self.process).text(self.browser).byte(VISIBILITIES.indexOf(self.visibility)).text(self.meta)
}

function writeAccusation(w: Writer, accusation: Accusation): void {
  w.byte(RANKS.indexOf(accusation.rank)).varint(accusation.incarnation).varint(accusation.observers.length)
  for (const observer of accusation.observers) w.text(observer)
}
