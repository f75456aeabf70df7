/**
 * Bytes of messages about calls:
 *
 *     message = byte version, byte type, body
 *
 * Fields in the order in which they are written here; integers are varints, texts and blobs have their length before
 * them. `decodeRpc` is total: it never throws, names what is wrong, and what it gives is within `RpcLimits`.
 */
import { isProcessId } from '../identity/node-id.ts'
import { Reader } from '../wire/reader.ts'
import { Writer } from '../wire/writer.ts'
import type { PartitionId } from '../partition/partition.ts'
import { isGrainKey, isKind, parsePartition } from '../partition/partition.ts'
import { isCaller, isChildCaller } from './call-id.ts'
import type { CallMessage, CallOutcome, Fence, OwnerHint, ReplyMessage, RpcMessage } from './messages.ts'
import { REFUSALS, RpcLimits } from './messages.ts'

const VERSION = 1
const TYPE_OF = { call: 1, reply: 2, cancel: 3, settled: 4, seek: 5, moved: 6 } as const
const OUTCOME_OF = { result: 1, failed: 2, refused: 3, elsewhere: 4 } as const
const HAS_FENCE = 1
const HAS_ORIGIN = 2
const RAN = 1
const HAS_MORE = 2
/** Beside arguments and result. */
const HEAD_BYTES = 2_048

/** What `bytes` may hold, whatever it is. */
export const MAX_RPC_BYTES = RpcLimits.bytes + HEAD_BYTES

export function encodeRpc(message: RpcMessage): Uint8Array {
  const w = new Writer()
  writeRpc(w, message)
  return w.give()
}

export function writeRpc(w: Writer, message: RpcMessage): void {
  w.byte(VERSION).byte(TYPE_OF[message.type])
  switch (message.type) {
    case 'call':
      writeCall(w, message)
      break
    case 'reply':
      writeReply(w, message)
      break
    case 'cancel':
      w.text(message.kind).text(message.key).text(message.caller)
      w.varint(message.sequence).varint(message.first).varint(message.previous)
      break
    case 'settled':
      w.text(message.kind).text(message.key).text(message.caller).varint(message.first)
      w.byte(message.fence ? HAS_FENCE : 0)
      if (message.fence) writeFence(w, message.fence)
      break
    case 'seek':
      w.text(message.partition).varint(message.epoch)
      break
    case 'moved':
      w.text(message.partition)
      writeHint(w, message)
  }
}

/**
 * The message, or what is wrong with it.
 * @param mostHops how often a call may have been passed on. Whoever passes one on says who waits for the reply, and is
 * believed.
 */
export function decodeRpc(bytes: Uint8Array, mostHops: number = RpcLimits.hops): RpcMessage | string {
  if (bytes.length > MAX_RPC_BYTES)
    return `message has ${bytes.length} bytes, over its limit of ${MAX_RPC_BYTES}`
  const r = new Reader(bytes)
  const version = r.byte('version of calls')
  const type = r.byte('type of message')
  if (!r.problem && version !== VERSION) r.fail(`version ${version} of calls is not spoken here`)
  const message = r.problem ? undefined : readMessage(r, type, mostHops)
  if (!r.problem && !r.done) r.fail(`message has ${r.remaining} bytes too many`)
  return r.problem ?? message ?? 'message is invalid'
}

function readMessage(r: Reader, type: number, mostHops: number): RpcMessage | undefined {
  switch (type) {
    case TYPE_OF.call:
      return readCall(r, mostHops)
    case TYPE_OF.reply:
      return readReply(r)
    case TYPE_OF.cancel: {
      const { kind, key, caller } = readTarget(r)
      const sequence = counter(r, 'sequence')
      const first = counter(r, 'first')
      const previous = counter(r, 'previous')
      checkOrder(r, sequence, previous)
      return { type: 'cancel', kind, key, caller, sequence, first, previous }
    }
    case TYPE_OF.settled: {
      const { kind, key, caller } = readTarget(r)
      const first = counter(r, 'first')
      const fence = flags(r, HAS_FENCE) ? readFence(r) : undefined
      if (isChildCaller(caller) !== (fence !== undefined)) r.fail('fence does not fit the caller')
      return { type: 'settled', kind, key, caller, first, ...(fence && { fence }) }
    }
    case TYPE_OF.seek:
      return { type: 'seek', partition: readPartition(r), epoch: counter(r, 'epoch') }
    case TYPE_OF.moved: {
      const partition = readPartition(r)
      const { owner, epoch } = readHint(r)
      return { type: 'moved', partition, owner, epoch }
    }
    default:
      r.fail(`type ${type} of message is unknown`)
      return undefined
  }
}

function writeCall(w: Writer, call: CallMessage): void {
  w.text(call.kind).text(call.key).text(call.caller)
  w.varint(call.sequence).varint(call.first).varint(call.previous).varint(call.attempt)
  w.text(call.method).varint(call.remainingMs).varint(call.epoch).varint(call.keepMs).byte(call.hops)
  w.byte((call.fence ? HAS_FENCE : 0) | (call.origin ? HAS_ORIGIN : 0)).byte(call.chain.length)
  for (const caller of call.chain) w.text(caller)
  if (call.fence) writeFence(w, call.fence)
  if (call.origin) w.text(call.origin)
  w.blob(call.args)
}

function readCall(r: Reader, mostHops: number): CallMessage {
  const { kind, key, caller } = readTarget(r)
  const sequence = counter(r, 'sequence')
  const first = counter(r, 'first')
  const previous = counter(r, 'previous')
  const attempt = counter(r, 'attempt')
  const method = r.text('method', RpcLimits.methodBytes)
  if (!r.problem && method === '') r.fail('method is empty')
  const remainingMs = r.varint('remaining time', RpcLimits.ms)
  const epoch = counter(r, 'epoch')
  const keepMs = r.varint('keeping time', RpcLimits.ms)
  const hops = r.byte('hops')
  if (hops > mostHops) r.fail(`hops are ${hops}, over their limit of ${mostHops}`)
  const has = flags(r, HAS_FENCE | HAS_ORIGIN)
  const count = r.byte('chain')
  if (count > RpcLimits.chain) r.fail(`chain has ${count} callers, over its limit of ${RpcLimits.chain}`)
  const chain: string[] = []
  for (let i = 0; i < count && !r.problem; i++) chain.push(r.text('chain', 32))
  if (!r.problem && !chain.every(isChildCaller)) r.fail('chain names no caller')
  const fence = has & HAS_FENCE ? readFence(r) : undefined
  const origin = has & HAS_ORIGIN ? r.text('origin', 16) : undefined
  if (!r.problem && origin !== undefined && !isProcessId(origin)) r.fail('origin names no process')
  const args = r.blob('arguments', RpcLimits.bytes)
  checkOrder(r, sequence, previous)
  if (!r.problem && first > sequence) r.fail('first is after its call')
  if (!r.problem && hops > 0 !== (origin !== undefined)) r.fail('origin does not fit the hops')
  if (!r.problem && isChildCaller(caller) !== (fence !== undefined)) r.fail('fence does not fit the caller')
  if (!r.problem && isChildCaller(caller) !== keepMs > 0) r.fail('keeping time does not fit the caller')
  if (!r.problem && isChildCaller(caller) !== count > 0) r.fail('chain does not fit the caller')
  const last = { ...(fence && { fence }), ...(origin && { origin }) }
  return {
    type: 'call',
    caller,
    sequence,
    first,
    previous,
    attempt,
    kind,
    key,
    method,
    args,
    remainingMs,
    epoch,
    chain,
    keepMs,
    hops,
    ...last,
  }
}

function checkOrder(r: Reader, sequence: number, previous: number): void {
  if (!r.problem && sequence === 0) r.fail('sequence is 0')
  if (!r.problem && previous >= sequence) r.fail('previous is not before its call')
}

function writeReply(w: Writer, { caller, sequence, attempts, outcome, keeps }: ReplyMessage): void {
  w.text(caller)
    .varint(sequence)
    .byte(keeps ? 1 : 0)
    .byte(attempts.length)
  for (const attempt of attempts) w.varint(attempt)
  if (outcome.type !== 'elsewhere') return writeOutcome(w, outcome)
  w.byte(OUTCOME_OF.elsewhere).byte((outcome.ran ? RAN : 0) | (outcome.hint ? HAS_MORE : 0))
  if (outcome.hint) writeHint(w, outcome.hint)
}

function readReply(r: Reader): ReplyMessage | undefined {
  const caller = readCaller(r)
  const sequence = counter(r, 'sequence')
  const keeps = flags(r, 1) === 1
  const count = r.byte('attempts')
  if (count > RpcLimits.attempts) r.fail(`attempts are ${count}, over their limit of ${RpcLimits.attempts}`)
  const attempts: number[] = []
  for (let i = 0; i < count && !r.problem; i++) attempts.push(counter(r, 'attempt'))
  const outcome = r.problem ? undefined : readReplyOutcome(r)
  return outcome && { type: 'reply', caller, sequence, attempts, outcome, keeps }
}

function readReplyOutcome(r: Reader): ReplyMessage['outcome'] | undefined {
  if (r.ahead()[0] !== OUTCOME_OF.elsewhere) return readOutcome(r)
  r.byte('outcome')
  const has = flags(r, RAN | HAS_MORE)
  const hint = has & HAS_MORE ? readHint(r) : undefined
  return { type: 'elsewhere', ran: (has & RAN) > 0, ...(hint && { hint }) }
}

/** How a call ended, as a reply and a record have it. */
export function writeOutcome(w: Writer, outcome: CallOutcome): void {
  w.byte(OUTCOME_OF[outcome.type])
  if (outcome.type !== 'refused') {
    w.blob(outcome.bytes)
    return
  }
  w.byte(REFUSALS.indexOf(outcome.code)).byte((outcome.ran ? RAN : 0) | (outcome.bytes ? HAS_MORE : 0))
  if (outcome.bytes) w.blob(outcome.bytes)
}

/** `undefined`, and a problem, where it is none. */
export function readOutcome(r: Reader): CallOutcome | undefined {
  const type = r.byte('outcome')
  switch (type) {
    case OUTCOME_OF.result:
      return { type: 'result', bytes: r.blob('result', RpcLimits.bytes) }
    case OUTCOME_OF.failed:
      return { type: 'failed', bytes: r.blob('error', RpcLimits.bytes) }
    case OUTCOME_OF.refused: {
      const code = REFUSALS[r.byte('reason')]
      const has = flags(r, RAN | HAS_MORE)
      const bytes = has & HAS_MORE ? r.blob('error', RpcLimits.bytes) : undefined
      if (code === undefined) return (r.fail('reason is unknown'), undefined)
      return { type: 'refused', code, ran: (has & RAN) > 0, ...(bytes && { bytes }) }
    }
    default:
      r.fail(`outcome ${type} is unknown`)
      return undefined
  }
}

function readTarget(r: Reader): { kind: string; key: string; caller: string } {
  const kind = r.text('kind', RpcLimits.kindBytes)
  if (!r.problem && !isKind(kind)) r.fail('kind is malformed')
  const key = r.text('key', RpcLimits.keyBytes)
  if (!r.problem && !isGrainKey(key)) r.fail('key is malformed')
  return { kind, key, caller: readCaller(r) }
}

function readCaller(r: Reader): string {
  const caller = r.text('caller', 32)
  if (!r.problem && !isCaller(caller)) r.fail('caller is malformed')
  return caller
}

function writeHint(w: Writer, { owner, epoch }: OwnerHint): void {
  w.text(owner).varint(epoch)
}

function readHint(r: Reader): OwnerHint {
  const owner = r.text('owner', 16)
  if (!r.problem && !isProcessId(owner)) r.fail('owner names no process')
  return { owner, epoch: counter(r, 'epoch') }
}

function writeFence(w: Writer, { partition, epoch }: Fence): void {
  w.text(partition).varint(epoch)
}

function readFence(r: Reader): Fence {
  return { partition: readPartition(r, 'fence'), epoch: counter(r, 'epoch') }
}

function readPartition(r: Reader, what = 'partition'): PartitionId {
  const partition = r.text(what, RpcLimits.kindBytes + 4)
  if (!r.problem && !parsePartition(partition)) r.fail(`${what} names no partition`)
  return partition
}

const counter = (r: Reader, what: string): number => r.varint(what, RpcLimits.counter)

function flags(r: Reader, known: number): number {
  const value = r.byte('flags')
  if (value > known) r.fail(`flags ${value} are unknown`)
  return value
}
