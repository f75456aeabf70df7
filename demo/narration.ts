import type { ClusterError, ClusterErrorCode, ClusterStatus, GossipState, Member } from '../src/index.ts'
import { byId, setAttribute, setText } from './dom.ts'
import { count } from './format.ts'
import type { Phase } from './session.ts'

export interface Situation {
  readonly room: string
  readonly phase: Phase
  readonly status: ClusterStatus
  readonly members: readonly Member[]
  readonly gossip: GossipState
  readonly isSignalingDown: boolean
  /** Unreachable members are remembered ones: what has become of them is not known yet. */
  readonly isArriving: boolean
  /** The page is about to block. */
  readonly isFrozen: boolean
  readonly error: ClusterError | undefined
}

interface Story {
  readonly headline: string
  readonly text: string
}

/** Who loses its last companion is told so after this long, in ms: most are only being reloaded. */
const ALONE_AFTER_MS = 1_500
/** Pause before something is read out, in ms: a burst becomes one sentence. */
const ANNOUNCE_AFTER_MS = 1_200

/** Tells in short sentences what is happening, to those who look and to those who listen. */
export class Narration {
  readonly #headline = byId('headline', HTMLElement)
  readonly #text = byId('narration', HTMLElement)
  readonly #status = byId('status', HTMLElement)
  readonly #banner = byId('banner', HTMLElement)
  readonly #notice = byId('notice', HTMLElement)
  readonly #noticeTitle = byId('notice-title', HTMLElement)
  readonly #noticeText = byId('notice-text', HTMLElement)
  readonly #noticeDetail = byId('notice-detail', HTMLElement)
  readonly #retry = byId('retry', HTMLButtonElement)
  readonly #live = byId('live', HTMLElement)
  /** What is read out, or will be. */
  #sentence = ''
  #timer: number | undefined
  /** What was last told of a room with others in it. */
  #company: { readonly situation: Situation; aloneSince: number | undefined } | undefined
  #patience: number | undefined

  update(now: Situation): void {
    const situation = this.#patiently(now)
    const story = tell(situation)
    const status =
      situation.phase === 'failed' || situation.phase === 'stopped' ? situation.phase : situation.status
    setText(this.#headline, story.headline)
    setText(this.#text, story.text)
    setText(this.#status, status)
    setAttribute(this.#status, 'data-status', status)
    this.#banner.hidden = !(situation.isSignalingDown && situation.phase === 'joined')
    this.#showNotice(situation)
    document.title = `${situation.phase === 'joined' ? `(${now.members.length - lostOf(now.members, now.isArriving)}) ` : ''}${situation.room} · Grainmesh`
    this.#announce(`${story.headline}. ${story.text}`)
  }

  /** As it was, while nobody can tell whether the last of the others comes back at once. */
  #patiently(situation: Situation): Situation {
    clearTimeout(this.#patience)
    const before = this.#company
    const isJoined = situation.phase === 'joined'
    if (!isJoined || situation.members.length > 1 || !before) {
      this.#company =
        isJoined && situation.members.length > 1 ? { situation, aloneSince: undefined } : undefined
      return situation
    }
    before.aloneSince ??= performance.now()
    const left = before.aloneSince + ALONE_AFTER_MS - performance.now()
    if (left <= 0) {
      this.#company = undefined
      return situation
    }
    this.#patience = window.setTimeout(() => this.update(situation), left)
    return { ...situation, members: before.situation.members, gossip: before.situation.gossip }
  }

  /** The panel over a stage that has little else to show. */
  #showNotice(situation: Situation): void {
    const { error } = situation
    const notice = noticeFor(situation)
    this.#notice.hidden = notice === undefined
    if (!notice) return
    const isFailure = notice.kind === 'failed'
    this.#notice.dataset['kind'] = notice.kind
    setAttribute(this.#notice, 'role', isFailure ? 'alert' : undefined)
    setText(this.#noticeTitle, notice.headline)
    setText(this.#noticeText, notice.text)
    setText(this.#noticeDetail, isFailure && error ? `${error.code}: ${error.message}` : '')
    this.#noticeDetail.hidden = this.#retry.hidden = !isFailure
  }

  #announce(sentence: string): void {
    // Rendering is frequent, as round-trip times change: only another sentence begins the pause anew.
    if (sentence === this.#sentence) return
    this.#sentence = sentence
    clearTimeout(this.#timer)
    this.#timer = window.setTimeout(() => setText(this.#live, sentence), ANNOUNCE_AFTER_MS)
  }
}

interface Notice extends Story {
  readonly kind: 'alone' | 'left' | 'stopped' | 'frozen' | 'failed'
}

const NOTICES = {
  alone: {
    kind: 'alone',
    headline: 'Open another tab',
    text: 'It finds this one by itself. Share the link to bring in someone else.',
  },
  left: {
    kind: 'left',
    headline: 'You are out',
    text: 'Join again and you come back as the next generation.',
  },
  stopped: {
    kind: 'stopped',
    headline: 'Stopped without goodbye',
    text: 'Nothing told the others. Watch in another tab how they find out; join again and you take the place of the lost one.',
  },
  frozen: {
    kind: 'frozen',
    headline: 'Frozen for 10 s',
    text: 'This tab does not react now. Your browser may call it unresponsive: let it wait.',
  },
} as const satisfies Record<string, Notice>

function noticeFor({ phase, members, error, isFrozen }: Situation): Notice | undefined {
  if (phase === 'failed') return failure(error)
  if (phase === 'left' || phase === 'stopped') return NOTICES[phase]
  if (isFrozen) return NOTICES.frozen
  return phase === 'joined' && members.length === 1 ? NOTICES.alone : undefined
}

const ADVICE: Readonly<Record<ClusterErrorCode, string>> = {
  'invalid-option': 'The address of this page asks for something that does not work. Nothing was started.',
  'signaling-unreachable': 'Check that the signaling server runs and that its address is right.',
  refused: 'Someone said no. Their reason is below.',
  'authority-conflict': 'Another tab already goes by this identity. Close it, or reload this page.',
  'schema-mismatch': 'The tabs in this room run another version. Reload this page.',
  'join-timeout': 'Members were found but none could be linked. A firewall may be blocking UDP.',
  aborted: 'The join was given up.',
  left: 'This membership is over. Try again to start a new one.',
  unreachable: 'There is no way to this member now, or it does not answer.',
  'queue-full': 'Too many messages wait for this member.',
  quarantined: 'This member broke the rules and is shut out for a while.',
  'unknown-member': 'Nothing is known of this member.',
  'no-receiver': 'The other side does not listen to this.',
  'dead-letter': 'A message did not arrive.',
  'webrtc-unavailable': 'This browser has no WebRTC, or it is switched off.',
  'relay-unavailable': 'No way to the others was found, not even through the signaling server.',
  'invalid-value': 'A value cannot be sent to the others.',
  'too-large': 'A value is larger than the cluster carries.',
  'unknown-kind': 'No tab in this room hosts this kind of grain.',
  'unknown-method': 'The tab that hosts this grain runs another version. Reload the older tab.',
  'version-mismatch': 'The tabs in this room run another version of this grain. Reload the older tab.',
  'invalid-arguments': 'The grain was asked for something that it does not take. Nothing was changed.',
  'invalid-result': 'The grain gave an answer that cannot be used. Nothing was changed.',
  'grain-threw': 'The grain could not do this. Nothing was changed.',
  deadline: 'There was no answer in time.',
  deadlock: 'Two grains would wait for each other for ever.',
  'chain-too-long': 'Too many grains would wait for each other.',
  'activation-failed': 'The grain could not be set up.',
  'outcome-lost': 'This was done, and its result was not kept.',
  'call-too-old': 'This call was given up before.',
  'state-missing': 'All tabs that held this state are gone.',
  'state-limit': 'This grain keeps too much.',
  'invalid-state': 'A state was used in a way that does not work.',
  'no-council': 'Too few tabs are reachable to decide who hosts this grain.',
}

function failure(error: ClusterError | undefined): Notice {
  const text = error ? ADVICE[error.code] : 'Something unexpected happened.'
  return { kind: 'failed', headline: 'Could not join', text }
}

function tell({ phase, status, members, gossip, room, isArriving }: Situation): Story {
  if (phase === 'failed')
    return { headline: 'Not in the cluster', text: `This tab could not join the room ${room}.` }
  if (phase === 'left')
    return { headline: 'You left', text: 'The others heard your goodbye and go on without you.' }
  if (phase === 'stopped')
    return { headline: 'Stopped', text: 'The page that was here ended as a crashed one does.' }
  if (phase === 'leaving') return { headline: 'Leaving', text: 'Saying goodbye to every member.' }
  if (phase === 'opening')
    return {
      headline: 'Joining',
      text: members.some(({ self }) => !self)
        ? 'Shown is who was here last time. Linking with those who still are.'
        : 'Asking the signaling server who is here, then linking with them directly.',
    }
  if (status === 'isolated')
    return {
      headline: 'Cut off',
      text: 'All links broke at once. This tab accuses nobody and tries to get back.',
    }
  if (members.length === 1)
    return { headline: 'You are alone here', text: 'A cluster of one. Open another tab and it becomes two.' }
  const lost = lostOf(members, isArriving)
  return {
    headline: `${count(members.length - lost, 'tab')}, ${lost === 0 ? 'one cluster' : `${lost} lost`}`,
    text: describe(members, gossip, isArriving),
  }
}

function describe(members: readonly Member[], gossip: GossipState, isArriving: boolean): string {
  const silent = lostOf(members, isArriving)
  if (silent === 1) return 'One member does not answer. If it stays silent, everyone removes it.'
  if (silent > 1) return `${silent} members do not answer. If they stay silent, everyone removes them.`
  const suspects = members.filter((member) => member.suspected).length
  if (suspects === 1) return 'One member has not answered for a moment: it is suspected.'
  if (suspects > 1) return `${suspects} members have not answered for a moment: they are suspected.`
  if (members.some((member) => member.status === 'joining')) return 'Someone new is being linked in.'
  if (gossip === 'diffusing') return 'News is travelling from tab to tab.'
  if (gossip === 'reconciling') return 'Some tabs missed something and are catching up.'
  return 'Every tab holds the same member list, and knows it.'
}

/** While this tab arrives, unreachable members are remembered ones: nobody has looked for them yet. */
const lostOf = (members: readonly Member[], isArriving: boolean): number =>
  isArriving ? 0 : members.filter(({ status }) => status === 'unreachable').length
