import type { ClusterEvent } from '../src/index.ts'
import { count, formatBytes, formatMs, shortHash } from './format.ts'
import type { Doubt } from './doubts.ts'

/** What the log can be narrowed down to. */
export type Topic = 'members' | 'links' | 'views' | 'other'

export interface Sentence {
  readonly topic: Topic
  readonly tone: 'plain' | 'good' | 'warn' | 'bad'
  readonly text: string
  /** Why, where the event says so. */
  readonly detail?: string
  /** The member it is about, if that is one. */
  readonly nodeId?: string
}

/** Names that the reader knows. */
export interface Names {
  isSelf(nodeId: string): boolean
  of(nodeId: string): string
}

const MAX_DETAIL = 160

/** How long the way into the cluster took, and what it cost. */
export function arrival({ durationMs, table, tableBytes }: Of<'joined'>): string {
  const took = formatMs(durationMs)
  if (table === 'none') return `Joined in ${took}: nobody was here to learn from`
  if (table === 'full') return `Joined in ${took}: the whole table (${formatBytes(tableBytes)})`
  if (tableBytes === 0) return `Back in ${took}: nothing had changed`
  return `Back in ${took}: only what had changed was transferred (${formatBytes(tableBytes)})`
}

/** One event in plain words; `undefined` for those that come many times a second and say nothing here. */
export function describe(event: ClusterEvent | Doubt, names: Names): Sentence | undefined {
  const sentence = phrase(event, names)
  if (!sentence) return undefined
  const { detail, ...rest } = sentence
  return detail ? { ...rest, detail: detail.slice(0, MAX_DETAIL) } : rest
}

function phrase(event: ClusterEvent | Doubt, names: Names): Sentence | undefined {
  switch (event.type) {
    case 'status':
      return { topic: 'members', ...STATUS[event.to], detail: event.reason }
    case 'member-status':
      return memberStatus(event, names)
    case 'doubt':
      return event.isSuspected
        ? {
            ...about(event.nodeId, names, 'members', 'warn', 'is suspected'),
            detail: 'no answer to a probe so far',
          }
        : about(event.nodeId, names, 'members', 'good', 'is there after all')
    case 'joined':
      return { topic: 'members', tone: 'good', text: arrival(event) }
    case 'member-meta':
      return about(event.nodeId, names, 'members', 'plain', 'changed name or colour')
    case 'member-visibility':
      return about(event.nodeId, names, 'members', 'plain', VISIBILITY[event.visibility])
    case 'peer-state':
      if (event.key === 'cursor' || event.key === 'board') return undefined
      return about(event.nodeId, names, 'members', 'plain', `published “${event.key.slice(0, 64)}”`)
    case 'superseded':
      return about(
        event.by,
        names,
        'members',
        'good',
        `came back as life ${life(event.by)}, in place of life ${life(event.old)}`,
      )
    case 'authority-conflict':
      return about(event.kept, names, 'members', 'bad', 'met another life of itself; that one was refused')
    case 'convergence':
      return convergence(event)
    case 'link-opened':
      return {
        topic: 'links',
        tone: 'good',
        text: `Linked with ${names.of(event.nodeId)} in ${formatMs(event.durationMs)}`,
        nodeId: event.nodeId,
      }
    case 'link-closed':
      return link(event.nodeId, names, 'warn', 'Lost the link to', event.reason)
    case 'link-failed':
      return link(event.nodeId, names, 'warn', 'Could not link with', event.reason)
    case 'handshake-refused':
      return event.by === 'us'
        ? link(event.nodeId, names, 'bad', 'Refused the handshake of', `${event.code}: ${event.reason}`)
        : link(event.nodeId, names, 'bad', 'Handshake refused by', `${event.code}: ${event.reason}`)
    case 'gap':
      return {
        topic: 'views',
        tone: 'warn',
        text: `Missed something from ${names.of(event.nodeId)}`,
        detail: `knows ${event.known}, got what follows ${event.from}; asked for the missing range`,
        nodeId: event.nodeId,
      }
    case 'frame-rejected':
      return link(event.nodeId, names, 'bad', 'Threw away a bad frame from', event.reason)
    case 'signaling':
      return event.state === 'up'
        ? { topic: 'other', tone: 'good', text: 'The signaling server is in reach', detail: event.reason }
        : { topic: 'other', tone: 'warn', text: 'The signaling server is out of reach', detail: event.reason }
    case 'reborn':
      return {
        topic: 'members',
        tone: 'warn',
        text: 'This tab goes on as a new life',
        detail: event.reason,
        nodeId: event.nodeId,
      }
    case 'association':
      return event.to === 'quarantined'
        ? {
            topic: 'other',
            tone: 'bad',
            text: 'A member broke the rules and is shut out',
            detail: event.reason,
          }
        : undefined
    case 'dead-letter':
      return { topic: 'other', tone: 'warn', text: 'A message did not arrive', detail: event.reason }
    case 'grain-activated':
      return { topic: 'other', tone: 'plain', text: `Hosts ${named(event)}` }
    case 'grain-deactivated':
      return {
        topic: 'other',
        tone: event.reason === 'failed' ? 'bad' : 'plain',
        text: `Hosts ${named(event)} no more`,
        detail: DEACTIVATED[event.reason],
      }
    case 'grain-threw':
      return {
        topic: 'other',
        tone: 'bad',
        text: `${named(event)}: ${event.method} threw`,
        detail: String(event.error),
      }
    case 'grain-stuck':
      return {
        topic: 'other',
        tone: 'bad',
        text: `${named(event)}: ${event.method} does not end`,
        detail: `for ${formatMs(event.ms)}; other calls of it wait`,
      }
    // Many times a second while grains spread, mostly of parts with nothing in them: a grain that moves says so itself.
    case 'grain-moved':
      return undefined
    case 'council':
      return {
        topic: 'other',
        tone: event.change === 'founded' ? 'good' : 'warn',
        text: COUNCIL[event.change],
        detail: event.reason,
      }
    case 'state-conflict':
      return {
        topic: 'other',
        tone: 'warn',
        text: `${event.kind} ${event.key} had been changed on two sides`,
        detail: 'the other state was given up: its kind has no merge',
      }
    case 'state-dropped':
      return {
        topic: 'other',
        tone: 'bad',
        text: `There was no room for ${event.count} parts of ${event.kind}`,
        detail: 'what another council had decided of them is lost',
      }
    case 'slow-calls':
      return {
        topic: 'other',
        tone: 'warn',
        text: `Calls to ${event.kind} are slow: ${formatMs(event.p95Ms)}`,
        detail:
          event.calls < 20
            ? `the slowest of ${count(event.calls, 'call')} in 10 s`
            : `one in 20 of ${event.calls} calls in 10 s took longer`,
      }
    case 'state-provisional':
      return {
        topic: 'other',
        tone: 'warn',
        text: `${event.count} of 256 parts of ${event.kind} were restored and may be older than what others stored`,
      }
    case 'storage':
      return {
        topic: 'other',
        tone: 'warn',
        text: `This browser does not keep the ${event.what}`,
        detail: event.reason,
      }
    default:
      return undefined
  }
}

type Of<K extends ClusterEvent['type']> = Extract<ClusterEvent, { type: K }>

const STATUS: Readonly<Record<Of<'status'>['to'], Pick<Sentence, 'tone' | 'text'>>> = {
  joining: { tone: 'plain', text: 'This tab is joining' },
  up: { tone: 'good', text: 'This tab is in the cluster' },
  isolated: { tone: 'bad', text: 'This tab lost all its links at once' },
  leaving: { tone: 'plain', text: 'This tab is saying goodbye' },
  left: { tone: 'plain', text: 'This tab has left' },
}

const COUNCIL: Readonly<Record<Of<'council'>['change'], string>> = {
  founded: 'This tab founded the council',
  continued: 'This tab goes on with the council, without those who are lost',
  followed: 'Another council is followed now',
}

const DEACTIVATED: Readonly<Record<Of<'grain-deactivated'>['reason'], string>> = {
  idle: 'nobody called it for a while',
  moved: 'another tab hosts it now',
  'right-lost': 'this tab may not run it any more',
  renewed: 'it begins again with what another side had of it',
  failed: 'it could not be set up',
}

const named = ({ kind, key, count }: { kind: string; key: string; count: number }): string =>
  count === 1 ? `${kind}/${key}` : `${count} grains of ${kind}`

const VISIBILITY: Readonly<Record<Of<'member-visibility'>['visibility'], string>> = {
  visible: 'came to the foreground',
  hidden: 'went to the background',
  'frozen-soon': 'is about to be frozen by its browser',
}

/** Reasons that are a single word of the protocol, for readers who do not know it; empty where nothing is added. */
const REASONS: Readonly<Record<string, string>> = {
  gossip: 'heard through gossip',
  handshake: 'heard in a handshake',
  remembered: 'known from an earlier life, and confirmed',
  left: '',
}

function memberStatus({ nodeId, from, to, reason }: Of<'member-status'>, names: Names): Sentence | undefined {
  // The `status` event has said it already.
  if (names.isSelf(nodeId) && to !== 'unreachable' && to !== 'removed') return undefined
  const said = {
    joining: ['plain', 'is joining'],
    up: ['good', from === 'unreachable' ? 'answers again' : 'is up'],
    leaving: ['plain', 'is leaving'],
    unreachable: ['bad', 'is lost: nobody gets an answer'],
    removed: [
      'plain',
      from === 'unreachable'
        ? 'stayed silent and was removed'
        : from === 'leaving'
          ? 'has left'
          : 'was removed',
    ],
  } as const
  const [tone, words] = said[to]
  return { ...about(nodeId, names, 'members', tone, words), detail: REASONS[reason] ?? reason }
}

function convergence({ state, viewHash, durationMs }: Of<'convergence'>): Sentence {
  if (state === 'diffusing')
    return { topic: 'views', tone: 'plain', text: `A change is spreading: ${shortHash(viewHash)}` }
  if (state === 'reconciling')
    return { topic: 'views', tone: 'warn', text: 'Views differ and are being repaired' }
  const after = durationMs === undefined || durationMs < 0.05 ? '' : ` after ${formatMs(durationMs)}`
  return { topic: 'views', tone: 'good', text: `All members agree on ${shortHash(viewHash)}${after}` }
}

function about(nodeId: string, names: Names, topic: Topic, tone: Sentence['tone'], words: string): Sentence {
  return { topic, tone, text: `${names.isSelf(nodeId) ? 'This tab' : names.of(nodeId)} ${words}`, nodeId }
}

function link(nodeId: string, names: Names, tone: Sentence['tone'], words: string, detail: string): Sentence {
  return { topic: 'links', tone, text: `${words} ${names.of(nodeId)}`, detail, nodeId }
}

const life = (nodeId: string): string => nodeId.split('.')[1] ?? '?'
