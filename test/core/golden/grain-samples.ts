/**
 * One message of grains of each type, and more where one has several forms, as PROTOCOL.md numbers them. Changing one
 * changes its golden file, and is a change of the protocol.
 */
import type { CouncilMessage, SlotEntry } from '../../../src/core/council/council-messages.ts'
import { decodeCouncil, encodeCouncil } from '../../../src/core/council/council-codec.ts'
import { encodeCommand, encodeMap } from '../../../src/core/council/map-codec.ts'
import type { Birth, Command } from '../../../src/core/council/partition-map.ts'
import { PartitionMap } from '../../../src/core/council/partition-map.ts'
import type { Entry, RaftBody } from '../../../src/core/council/raft-messages.ts'
import { decodeHoldingMessage, encodeHoldingMessage } from '../../../src/core/grain/holding-codec.ts'
import type { KeyContent } from '../../../src/core/grain/held-partition.ts'
import type { HoldingMessage } from '../../../src/core/grain/messages.ts'
import { SLOTS } from '../../../src/core/partition/partition.ts'
import { decodeRpc, encodeRpc } from '../../../src/core/rpc/call-codec.ts'
import { childCallerOf } from '../../../src/core/rpc/call-id.ts'
import type { CallMessage, RpcMessage } from '../../../src/core/rpc/messages.ts'

export type GrainSample =
  | { readonly machine: 'council'; readonly message: CouncilMessage }
  | { readonly machine: 'holdings'; readonly message: HoldingMessage }
  | { readonly machine: 'calls'; readonly message: RpcMessage }

/** The first byte. */
export const MACHINES = ['council', 'holdings', 'calls'] as const

/** A message as it goes in a segment or a datagram. */
export function encodeGrain(sample: GrainSample): Uint8Array {
  return Uint8Array.of(MACHINES.indexOf(sample.machine), ...bodyOf(sample))
}

/** The message, or what is wrong with it. */
export function decodeGrain(bytes: Uint8Array): unknown {
  const machine = MACHINES[bytes[0]!]!
  const body = bytes.subarray(1)
  if (machine === 'holdings') {
    const decoded = decodeHoldingMessage(body)
    return decoded.ok ? { machine, message: decoded.message } : decoded.reason
  }
  const message = machine === 'council' ? decodeCouncil(body) : decodeRpc(body)
  return typeof message === 'string' ? message : { machine, message }
}

function bodyOf({ machine, message }: GrainSample): Uint8Array {
  if (machine === 'council') return encodeCouncil(message)
  return machine === 'holdings' ? encodeHoldingMessage(message) : encodeRpc(message)
}

export const A = 'aaaaaaaaaaaaaaaa'
export const B = 'bbbbbbbbbbbbbbbb'
const C = 'cccccccccccccccc'
const GROUP = 'qrstuvwxyz234567.1'
const COUNTER = 'counter'

const birth: Birth = { owner: B, inSync: [B, A] }
const births: Birth[] = Array.from({ length: SLOTS }, () => birth)
const map = new PartitionMap()
map.apply({ type: 'birth', kind: COUNTER, births })

const entries: SlotEntry[] = [
  [0, { epoch: 300, owner: B, inSync: [A, B], born: 1 }],
  [158, { epoch: 7, owner: C, inSync: [C], born: 7 }],
]

/** One of each type. */
export const COMMANDS: { readonly [T in Command['type']]: Extract<Command, { readonly type: T }> } = {
  birth: { type: 'birth', kind: COUNTER, births },
  change: {
    type: 'change',
    kind: COUNTER,
    slots: [0, 158],
    epochs: [300, 7],
    add: undefined,
    remove: B,
    owner: A,
  },
  lose: { type: 'lose', kind: COUNTER, slots: [158], epochs: [7], birth: { owner: A, inSync: [A] } },
  adopt: {
    type: 'adopt',
    kind: COUNTER,
    slots: entries.map(([slot]) => slot),
    entries: entries.map(([, entry]) => entry),
  },
}

const logged = (command: Command): Entry => ({ kind: 'command', term: 3, command: encodeCommand(command) })

const raft = (body: RaftBody): CouncilMessage => ({
  kind: 'raft',
  message: { group: GROUP, from: A, to: B, term: 3, ...body },
})

const at = { partition: 'counter#158', epoch: 7 }
const likes: KeyContent = {
  key: 'likes',
  epoch: 7,
  number: 300,
  contents: {
    state: Uint8Array.of(1, 0x34, 0x32),
    callers: new Map([
      [
        A,
        {
          first: 4,
          keepMs: 0,
          outcomes: new Map([[5, { type: 'result', bytes: Uint8Array.of(1, 0x34, 0x32) }]]),
        },
      ],
    ]),
  },
}
const TENURE = { group: GROUP, epoch: 7, number: 299 }
const TENURES = [{ ...TENURE, epoch: 4, number: 20 }, TENURE]
/** Both sides have changed it, and what the other has waits. */
const split: KeyContent = {
  ...likes,
  key: 'split',
  contents: {
    ...likes.contents!,
    stated: { epoch: 6, number: 298 },
    others: [{ ...TENURE, state: Uint8Array.of(1, 0x34, 0x33) }],
  },
}
const deleted: KeyContent = { key: 'gone', epoch: 6, number: 299, contents: undefined }

/** The nested caller of PROTOCOL.md's example. */
export const CHILD = childCallerOf(A, COUNTER, 'likes', 5)

const call: CallMessage = {
  type: 'call',
  kind: COUNTER,
  key: 'likes',
  caller: A,
  sequence: 5,
  first: 4,
  previous: 4,
  attempt: 1,
  method: 'add',
  args: Uint8Array.of(1, 0x5b, 0x32, 0x5d),
  remainingMs: 10_000,
  epoch: 7,
  chain: [],
  keepMs: 0,
  hops: 0,
}
const fence = { partition: 'counter#158', epoch: 7 }
const reply = { type: 'reply', caller: A, sequence: 5, attempts: [1], keeps: true } as const

const council = (message: CouncilMessage): GrainSample => ({ machine: 'council', message })
const holdings = (message: HoldingMessage): GrainSample => ({ machine: 'holdings', message })
const calls = (message: RpcMessage): GrainSample => ({ machine: 'calls', message })

/** By the name of its file. */
export const GRAIN_SAMPLES: Readonly<Record<string, GrainSample>> = {
  vote: council(raft({ kind: 'vote', pre: true, transfer: false, lastIndex: 300, lastTerm: 2 })),
  voted: council(raft({ kind: 'voted', pre: false, asked: 3, granted: true, waitMs: 1_500 })),
  append: council(
    raft({
      kind: 'append',
      stamp: 9,
      previousIndex: 300,
      previousTerm: 2,
      commit: 299,
      entries: [
        { kind: 'no-op', term: 3 },
        { kind: 'voters', term: 3, voters: [A, B] },
        logged(COMMANDS.change),
      ],
    }),
  ),
  'append-heartbeat': council(
    raft({ kind: 'append', stamp: 10, previousIndex: 0, previousTerm: 0, commit: 303, entries: [] }),
  ),
  'append-lose-and-adopt': council(
    raft({
      kind: 'append',
      stamp: 11,
      previousIndex: 303,
      previousTerm: 3,
      commit: 303,
      entries: [logged(COMMANDS.lose), logged(COMMANDS.adopt)],
    }),
  ),
  appended: council(raft({ kind: 'appended', stamp: 9, match: 303 })),
  conflict: council(
    raft({ kind: 'conflict', stamp: 9, previousIndex: 300, conflictIndex: 290, conflictTerm: 1 }),
  ),
  install: council(
    raft({
      kind: 'install',
      stamp: 9,
      index: 300,
      indexTerm: 2,
      voters: [A, B],
      size: encodeMap(map).length,
      offset: 0,
      bytes: encodeMap(map),
    }),
  ),
  installed: council(
    raft({
      kind: 'installed',
      stamp: 9,
      index: 300,
      size: encodeMap(map).length,
      received: encodeMap(map).length,
    }),
  ),
  'timeout-now': council(raft({ kind: 'timeout-now', stamp: 12 })),
  ask: council({ kind: 'ask', group: GROUP, grain: COUNTER }),
  told: council({ kind: 'told', group: GROUP, grain: COUNTER, leader: A, entries }),
  'told-without-vote': council({
    kind: 'told',
    group: GROUP,
    grain: COUNTER,
    leader: undefined,
    entries: undefined,
  }),
  propose: council({
    kind: 'propose',
    group: GROUP,
    id: 12,
    command: {
      type: 'change',
      kind: COUNTER,
      slots: [158],
      epochs: [7],
      add: C,
      remove: undefined,
      owner: undefined,
    },
  }),
  'propose-birth': council({
    kind: 'propose',
    group: GROUP,
    id: 11,
    command: COMMANDS.birth,
  }),
  proposed: council({
    kind: 'proposed',
    group: GROUP,
    id: 12,
    grain: COUNTER,
    leader: A,
    entries: [entries[1]!],
  }),
  news: council({ kind: 'news', group: GROUP, grain: COUNTER, entries }),
  survey: council({ kind: 'survey', group: GROUP }),
  surveyed: council({ kind: 'surveyed', group: GROUP, grains: [[COUNTER, entries]] }),
  adopt: council({ kind: 'adopt', group: GROUP, grain: COUNTER, entries }),

  beacon: holdings({ type: 'beacon', id: 300, heard: 299, sole: false }),
  beaconed: holdings({ type: 'beaconed', id: 300, sole: false, refused: [at] }),
  store: holdings({
    type: 'store',
    items: [
      {
        ...at,
        tenure: 6,
        number: 300,
        acked: 299,
        key: 'likes',
        change: {
          state: Uint8Array.of(1, 0x34, 0x32),
          records: [
            {
              caller: A,
              sequence: 5,
              keepMs: 0,
              outcome: { type: 'result', bytes: Uint8Array.of(1, 0x34, 0x32) },
            },
          ],
          drops: [{ caller: A, first: 4 }],
        },
      },
      {
        ...at,
        tenure: 6,
        number: 301,
        acked: 299,
        key: 'gone',
        change: { state: null, records: [], drops: [{ caller: CHILD, first: Infinity }] },
      },
    ],
  }),
  stored: holdings({ type: 'stored', items: [{ ...at, tenure: 6, number: 301, wants: false }] }),
  where: holdings({ type: 'where', items: [at] }),
  claim: holdings({ type: 'claim', items: [{ ...at, forgotten: 120, tenures: TENURES }] }),
  standing: holdings({
    type: 'standing',
    items: [{ ...at, number: 301, common: 299, since: 299, keys: [{ key: 'likes', epoch: 7, number: 300 }] }],
  }),
  repair: holdings({
    type: 'repair',
    items: [
      {
        ...at,
        tenure: 7,
        from: 301,
        number: 300,
        acked: 299,
        forgotten: 120,
        tenures: TENURES,
        entries: [likes, deleted, { key: 'never', epoch: 0, number: 0, contents: undefined }],
      },
    ],
  }),
  copy: holdings({
    type: 'copy',
    items: [{ ...at, attempt: 2, index: 0, handed: false, entries: [likes] }],
  }),
  'copy-end': holdings({
    type: 'copy',
    items: [
      {
        ...at,
        attempt: 2,
        index: 1,
        handed: true,
        entries: [],
        end: { tenure: 7, number: 300, acked: 300, tenures: TENURES },
      },
    ],
  }),
  copied: holdings({ type: 'copied', items: [{ ...at, attempt: 2, index: 1, result: 'whole' }] }),
  stale: holdings({ type: 'stale', items: [at] }),
  drop: holdings({ type: 'drop', items: [at] }),
  released: holdings({ type: 'released', items: [{ ...at, inUse: true }] }),
  stray: holdings({
    type: 'stray',
    items: [
      { ...at, attempt: 3, index: 0, born: 1, tenures: TENURES, entries: [likes, split], isLast: true },
    ],
  }),
  'stray-source': holdings({
    type: 'stray',
    items: [
      {
        ...at,
        attempt: 3,
        index: 1,
        born: 1,
        tenures: TENURES,
        source: {
          epoch: 7,
          number: 300,
          taken: [{ group: 'abcdefghijklmnop.0', born: 1, since: 2, epoch: 4, number: 20 }],
          holders: [
            { process: A, browser: 'firefox' },
            { process: B, browser: '' },
          ],
          back: [{ process: A, browser: 'firefox' }],
        },
        entries: [],
        isLast: true,
      },
    ],
  }),
  strayed: holdings({ type: 'strayed', items: [{ ...at, attempt: 3, index: 0, result: 'whole' }] }),

  call: calls(call),
  'call-nested': calls({
    ...call,
    key: 'other',
    caller: CHILD,
    sequence: 1,
    first: 1,
    previous: 0,
    chain: [CHILD],
    fence,
    keepMs: 129_000,
  }),
  reply: calls({ ...reply, outcome: { type: 'result', bytes: Uint8Array.of(1, 0x34, 0x32) } }),
  'reply-failed': calls({
    ...reply,
    outcome: { type: 'failed', bytes: new TextEncoder().encode('{"code":"grain-threw"}') },
  }),
  'reply-refused': calls({
    ...reply,
    keeps: false,
    outcome: { type: 'refused', code: 'queue-full', ran: false },
  }),
  'reply-elsewhere': calls({
    ...reply,
    keeps: false,
    outcome: { type: 'elsewhere', ran: true, hint: { owner: B, epoch: 8 } },
  }),
  cancel: calls({
    type: 'cancel',
    kind: COUNTER,
    key: 'likes',
    caller: A,
    sequence: 5,
    first: 4,
    previous: 4,
  }),
  settled: calls({ type: 'settled', kind: COUNTER, key: 'likes', caller: A, first: 6 }),
  'settled-nested': calls({
    type: 'settled',
    kind: COUNTER,
    key: 'other',
    caller: CHILD,
    first: 2 ** 48,
    fence,
  }),
  seek: calls({ type: 'seek', partition: fence.partition, epoch: 7 }),
  moved: calls({ type: 'moved', partition: fence.partition, owner: B, epoch: 8 }),
}
