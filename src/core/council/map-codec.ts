/**
 * Commands and snapshots of the partition map as bytes. Processes are named once each and then by their place in that
 * list. Readers are total: a text says what is wrong.
 */
import type { ProcessId } from '../identity/node-id.ts'
import { isProcessId } from '../identity/node-id.ts'
import type { MapEntry } from '../partition/partition.ts'
import { isKind, MAX_HOLDERS, SLOTS } from '../partition/partition.ts'
import { Reader } from '../wire/reader.ts'
import { Writer } from '../wire/writer.ts'
import type { Birth, Command } from './partition-map.ts'
import { MAX_EPOCH, MAX_KINDS, PartitionMap } from './partition-map.ts'

const TYPES: readonly Command['type'][] = ['birth', 'change', 'lose', 'adopt']
/** Processes that one command or snapshot may name. */
const MAX_PROCESSES = 4_096
const KIND_BYTES = 64
const PROCESS_BYTES = 16

export function encodeCommand(command: Command): Uint8Array {
  const { type, kind } = command
  writer.reset().byte(TYPES.indexOf(type)).text(kind)
  if (type === 'birth') {
    writeProcesses(command.births.flatMap(holdersOf))
    for (const birth of command.births) writeBirth(birth)
    return writer.take()
  }
  if (type === 'adopt') {
    writeProcesses(command.entries.flatMap(holdersOf))
    writer.varint(command.slots.length)
    for (const [i, slot] of command.slots.entries()) {
      writer.byte(slot)
      writeEntry(command.entries[i]!)
    }
    return writer.take()
  }
  writer.varint(command.slots.length)
  for (const [i, slot] of command.slots.entries()) writer.byte(slot).varint(command.epochs[i]!)
  if (type === 'lose') {
    writeProcesses(holdersOf(command.birth))
    writeBirth(command.birth)
  } else {
    for (const process of [command.add, command.remove, command.owner]) writer.text(process ?? '')
  }
  return writer.take()
}

export function decodeCommand(bytes: Uint8Array): Command | string {
  const r = new Reader(bytes)
  const type = TYPES[r.byte('type of command')]
  if (type === undefined) r.fail('the type of command is unknown')
  const kind = readKind(r)
  const command =
    type === 'birth'
      ? readBirths(r, kind)
      : type === 'adopt'
        ? readAdopted(r, kind)
        : readChange(r, kind, type ?? 'change')
  return finish(r, command)
}

export function encodeMap(map: PartitionMap): Uint8Array {
  const kinds = [...map.kinds()]
  writer.reset()
  writeProcesses(kinds.flatMap(([, entries]) => entries.flatMap(holdersOf)))
  writer.varint(kinds.length)
  for (const [kind, entries] of kinds) {
    writer.text(kind)
    for (const entry of entries) writeEntry(entry)
  }
  return writer.take()
}

export function decodeMap(bytes: Uint8Array): PartitionMap | string {
  const r = new Reader(bytes)
  const map = new PartitionMap()
  const processes = readProcesses(r)
  const kinds = r.varint('kinds of grain', MAX_KINDS)
  for (let i = 0; i < kinds && !r.problem; i++) {
    const kind = readKind(r)
    if (map.has(kind)) r.fail('a kind is there twice')
    const entries: MapEntry[] = []
    for (let slot = 0; slot < SLOTS && !r.problem; slot++) entries.push(readEntry(r, processes))
    if (!r.problem) map.set(kind, entries)
  }
  return finish(r, map)
}

function readBirths(r: Reader, kind: string): Command {
  const processes = readProcesses(r)
  const births: Birth[] = []
  for (let slot = 0; slot < SLOTS && !r.problem; slot++) births.push(readBirth(r, processes))
  return { type: 'birth', kind, births }
}

function readAdopted(r: Reader, kind: string): Command {
  const processes = readProcesses(r)
  const slots: number[] = []
  const entries: MapEntry[] = []
  const count = r.varint('slots', SLOTS)
  for (let i = 0; i < count && !r.problem; i++) {
    slots.push(r.byte('slot'))
    entries.push(readEntry(r, processes))
  }
  if (new Set(slots).size < slots.length) r.fail('a slot is there twice')
  return { type: 'adopt', kind, slots, entries }
}

function readChange(r: Reader, kind: string, type: 'change' | 'lose'): Command {
  const slots: number[] = []
  const epochs: number[] = []
  const count = r.varint('slots', SLOTS)
  for (let i = 0; i < count && !r.problem; i++) {
    slots.push(r.byte('slot'))
    epochs.push(r.varint('epoch', MAX_EPOCH))
  }
  if (new Set(slots).size < slots.length) r.fail('a slot is there twice')
  if (type === 'lose') return { type, kind, slots, epochs, birth: readBirth(r, readProcesses(r)) }
  const [add, remove, owner] = [readOptional(r), readOptional(r), readOptional(r)]
  return { type, kind, slots, epochs, add, remove, owner }
}

function readOptional(r: Reader): ProcessId | undefined {
  const process = r.text('process', PROCESS_BYTES)
  if (process !== '' && !isProcessId(process)) r.fail('a process is malformed')
  return process === '' ? undefined : process
}

function readKind(r: Reader): string {
  const kind = r.text('kind of grain', KIND_BYTES)
  if (!isKind(kind)) r.fail('the name of a kind is malformed')
  return kind
}

/** The owner first. */
const holdersOf = ({ owner, inSync }: Birth): ProcessId[] => [
  owner,
  ...inSync.filter((process) => process !== owner),
]

function writeEntry(entry: MapEntry): void {
  writer.varint(entry.epoch).varint(entry.epoch - entry.born)
  writeBirth(entry)
}

function readEntry(r: Reader, processes: readonly ProcessId[]): MapEntry {
  const epoch = r.varint('epoch', MAX_EPOCH)
  const age = r.varint('epochs since birth', MAX_EPOCH)
  if (age >= epoch) r.fail('a partition is older than its birth')
  return { epoch, born: epoch - age, ...readBirth(r, processes) }
}

function writeBirth(birth: Birth): void {
  writer.varint(birth.inSync.length)
  for (const process of holdersOf(birth)) writer.varint(places.get(process)!)
}

function readBirth(r: Reader, processes: readonly ProcessId[]): Birth {
  const inSync: ProcessId[] = []
  const count = r.varint('holders', MAX_HOLDERS)
  if (count === 0) r.fail('a partition has no holder')
  for (let i = 0; i < count && !r.problem; i++) {
    const process = processes[r.varint('place of a holder', MAX_PROCESSES)]
    if (process === undefined) r.fail('a holder has no name')
    else if (inSync.includes(process)) r.fail('a holder is there twice')
    else inSync.push(process)
  }
  return { owner: inSync[0] ?? '', inSync }
}

function writeProcesses(named: readonly ProcessId[]): void {
  places.clear()
  for (const process of named) if (!places.has(process)) places.set(process, places.size)
  writer.varint(places.size)
  for (const process of places.keys()) writer.text(process)
}

function readProcesses(r: Reader): ProcessId[] {
  const processes: ProcessId[] = []
  const count = r.varint('processes', MAX_PROCESSES)
  for (let i = 0; i < count && !r.problem; i++) {
    const process = r.text('process', PROCESS_BYTES)
    if (!isProcessId(process)) r.fail('a process is malformed')
    processes.push(process)
  }
  return processes
}

function finish<T>(r: Reader, value: T): T | string {
  if (!r.done) r.fail('there is more behind its end')
  return r.problem ?? value
}

const writer = new Writer()
/** Of the processes that are written now. */
const places = new Map<ProcessId, number>()
