/** The council's messages as bytes. The reader is total: a text says what is wrong. */
import type { ProcessId } from '../identity/node-id.ts'
import { isProcessId } from '../identity/node-id.ts'
import type { MapEntry } from '../partition/partition.ts'
import { isKind, MAX_HOLDERS, SLOTS } from '../partition/partition.ts'
import { Reader } from '../wire/reader.ts'
import { Writer } from '../wire/writer.ts'
import type { CouncilMessage, SlotEntry } from './council-messages.ts'
import { decodeCommand, encodeCommand } from './map-codec.ts'
import { MAX_EPOCH, MAX_KINDS } from './partition-map.ts'
import { decodeRaft, encodeRaft, RaftLimits } from './raft-codec.ts'

const KINDS: readonly CouncilMessage['kind'][] = [
  'raft',
  'ask',
  'told',
  'propose',
  'proposed',
  'news',
  'survey',
  'surveyed',
  'adopt',
]

export function encodeCouncil(message: CouncilMessage): Uint8Array {
  const head = KINDS.indexOf(message.kind)
  if (message.kind === 'raft') {
    const raft = encodeRaft(message.message)
    return writer.reset().byte(head).raw(raft).take()
  }
  const command = message.kind === 'propose' ? encodeCommand(message.command) : undefined
  writer.reset().byte(head).text(message.group)
  switch (message.kind) {
    case 'ask':
      writer.text(message.grain)
      break
    case 'told':
      writer.text(message.grain).text(message.leader ?? '')
      writeOptionalEntries(message.entries)
      break
    case 'propose':
      writer.varint(message.id).blob(command!)
      break
    case 'proposed':
      writer
        .varint(message.id)
        .text(message.grain)
        .text(message.leader ?? '')
      writeOptionalEntries(message.entries)
      break
    case 'survey':
      break
    case 'surveyed':
      writer.varint(message.grains.length)
      for (const [grain, entries] of message.grains) {
        writer.text(grain)
        writeEntries(entries)
      }
      break
    case 'adopt':
    case 'news':
      writer.text(message.grain)
      writeEntries(message.entries)
  }
  return writer.take()
}

export function decodeCouncil(bytes: Uint8Array): CouncilMessage | string {
  const r = new Reader(bytes)
  const kind = KINDS[r.byte('kind of council message')]
  if (kind === undefined) return r.problem ?? 'the kind of council message is unknown'
  if (kind === 'raft') {
    const decoded = decodeRaft(bytes.subarray(1))
    return decoded.ok ? { kind, message: decoded.message } : decoded.reason
  }
  const group = r.text('council', RaftLimits.groupBytes)
  const message = readBody(r, kind, group)
  if (!r.done) r.fail('there is more behind its end')
  return r.problem ?? message
}

function readBody(r: Reader, kind: Exclude<CouncilMessage['kind'], 'raft'>, group: string): CouncilMessage {
  switch (kind) {
    case 'ask':
      return { kind, group, grain: readGrain(r) }
    case 'told': {
      const [grain, leader] = [readGrain(r), readLeader(r)]
      return { kind, group, grain, leader, entries: readOptionalEntries(r) }
    }
    case 'propose': {
      const id = r.varint('id of a proposal')
      const command = decodeCommand(r.blob('command', RaftLimits.commandBytes))
      if (typeof command !== 'string') return { kind, group, id, command }
      r.fail(command)
      return { kind: 'ask', group, grain: '' }
    }
    case 'proposed': {
      const id = r.varint('id of a proposal')
      const [grain, leader] = [readGrain(r), readLeader(r)]
      return { kind, group, id, grain, leader, entries: readOptionalEntries(r) }
    }
    case 'survey':
      return { kind, group }
    case 'surveyed': {
      const grains: [string, SlotEntry[]][] = []
      const count = r.varint('kinds of grain', MAX_KINDS)
      for (let i = 0; i < count && !r.problem; i++) grains.push([readGrain(r), readEntries(r)])
      return { kind, group, grains }
    }
    case 'adopt':
    case 'news':
      return { kind, group, grain: readGrain(r), entries: readEntries(r) }
  }
}

function writeOptionalEntries(entries: readonly SlotEntry[] | undefined): void {
  writer.byte(entries ? 1 : 0)
  if (entries) writeEntries(entries)
}

/** Processes are named once, then by their place. */
function writeEntries(entries: readonly SlotEntry[]): void {
  const places = new Map<ProcessId, number>()
  for (const [, { inSync }] of entries)
    for (const process of inSync) if (!places.has(process)) places.set(process, places.size)
  writer.varint(places.size)
  for (const process of places.keys()) writer.text(process)
  writer.varint(entries.length)
  for (const [slot, { epoch, owner, inSync, born }] of entries) {
    writer
      .byte(slot)
      .varint(epoch)
      .varint(epoch - born)
    writer.varint(inSync.length).varint(inSync.indexOf(owner))
    for (const process of inSync) writer.varint(places.get(process)!)
  }
}

function readOptionalEntries(r: Reader): SlotEntry[] | undefined {
  const known = r.byte('whether there are entries')
  if (known > 1) r.fail(`whether there are entries is ${known}, neither 0 nor 1`)
  return known === 1 ? readEntries(r) : undefined
}

function readEntries(r: Reader): SlotEntry[] {
  const processes: ProcessId[] = []
  const named = r.varint('processes', SLOTS * MAX_HOLDERS)
  for (let i = 0; i < named && !r.problem; i++) processes.push(readProcess(r))
  const entries: SlotEntry[] = []
  const count = r.varint('entries', SLOTS)
  for (let i = 0; i < count && !r.problem; i++) {
    const slot = r.byte('slot')
    if (entries.some(([other]) => other === slot)) r.fail('a slot is there twice')
    entries.push([slot, readEntry(r, processes)])
  }
  return entries
}

function readEntry(r: Reader, processes: readonly ProcessId[]): MapEntry {
  const epoch = r.varint('epoch', MAX_EPOCH)
  const age = r.varint('epochs since birth', MAX_EPOCH)
  const holders = r.varint('holders', MAX_HOLDERS)
  const first = r.varint('place of the owner', MAX_HOLDERS)
  const inSync: ProcessId[] = []
  for (let i = 0; i < holders && !r.problem; i++) {
    const process = processes[r.varint('place of a holder', processes.length)]
    if (process === undefined) r.fail('a holder has no name')
    else if (inSync.includes(process)) r.fail('a holder is there twice')
    else inSync.push(process)
  }
  const owner = inSync[first]
  if (owner === undefined) r.fail('a partition has no owner')
  if (age >= epoch) r.fail('a partition is older than its birth')
  return { epoch, owner: owner ?? '', inSync, born: epoch - age }
}

function readGrain(r: Reader): string {
  const grain = r.text('kind of grain', 64)
  if (!isKind(grain)) r.fail('the name of a kind is malformed')
  return grain
}

function readLeader(r: Reader): ProcessId | undefined {
  const text = r.text('process', 16)
  if (text !== '' && !isProcessId(text)) r.fail('a process is malformed')
  return text === '' ? undefined : text
}

function readProcess(r: Reader): ProcessId {
  const process = r.text('process', 16)
  if (!isProcessId(process)) r.fail('a process is malformed')
  return process
}

const writer = new Writer()
