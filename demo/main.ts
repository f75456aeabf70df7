/** The demo page: one tab, one membership, everything about it on show. */
import type { Cluster, ClusterEvent, OpeningCluster } from '../src/index.ts'
import { BoardView } from './board/board-view.ts'
import { boardKinds } from './board/kinds.ts'
import { Controls } from './controls.ts'
import { ConvergencePanel } from './convergence.ts'
import { Cursors } from './cursors.ts'
import { byId, setText } from './dom.ts'
import { Doubts } from './doubts.ts'
import { EventLog } from './event-log.ts'
import { Failing, takeStopped } from './failing.ts'
import { createFrame } from './frame.ts'
import { Graph } from './graph.ts'
import { MemberTable } from './member-table.ts'
import { Narration } from './narration.ts'
import { loadPersona, personaOf, rarestColor, type Persona } from './persona.ts'
import { roomFromLocation, signalingUrl, snapshotIsOff } from './room.ts'
import { RouteView } from './route.ts'
import { arrival, type Names } from './sentences.ts'
import { Session } from './session.ts'

declare global {
  interface Window {
    /** The cluster of this tab, for the console; the last one while it is in none. */
    cluster?: Cluster
  }
}

/** Names of members that are gone are remembered for the log, up to this many. */
const MAX_NAMES = 2_000

const loaded = loadPersona()
let persona: Persona = loaded.persona
/** The colour was drawn by lot and nobody has seen it yet. */
let isColorByLot = loaded.isNew
let isSignalingDown = false
let isFrozen = false
/** How this tab came into the cluster it is in; empty until it has. */
let arrivalText = ''
let selfId: string | undefined
const namesSeen = new Map<string, string>()

const names: Names = {
  isSelf: (nodeId) => nodeId === selfId,
  of: (nodeId) =>
    nodeId === selfId ? 'this tab' : (namesSeen.get(nodeId) ?? `member ${nodeId.slice(0, 6)}`),
}

// First of all who listen for the end of the page.
const failing = new Failing({ onFreeze: () => setFrozen(true), onThaw: () => setFrozen(false) })
const render = createFrame(renderNow)
const graph = new Graph(byId('graph', SVGSVGElement), {
  onGeometry: () => cursors.refresh(),
  onPress: (nodeId) => route.choose(nodeId),
})
const cursors = new Cursors(byId('canvas', HTMLElement), byId('cursors', HTMLElement), () => graph.ring)
const table = new MemberTable(byId('member-rows', HTMLTableSectionElement), {
  onPoint: (nodeId) => graph.highlight(nodeId),
  onPress: (nodeId) => route.choose(nodeId),
})
const route = new RouteView({
  onRoute(chosen, hops) {
    table.choose(chosen)
    graph.showRoute(hops)
  },
})
const convergence = new ConvergencePanel()
const narration = new Narration()
const log = new EventLog(names)
const memberCount = byId('member-count', HTMLElement)
const arrivalLine = byId('arrival', HTMLElement)

/** Its code runs in the tab that hosts a grain: here, when it says who that is. */
const kinds = boardKinds(() => ({ nodeId: session.cluster?.self.nodeId ?? '', ...persona }))
const board = new BoardView(kinds, () => persona)

const session = new Session(roomFromLocation(), {
  options: () => ({
    signaling: signalingUrl(),
    meta: persona,
    grains: [kinds.Card, kinds.Board],
    ...(snapshotIsOff() ? { snapshot: false as const } : {}),
  }),
  onOpen: watch,
  onChange: render,
})

const controls = new Controls(persona, {
  leave: () => session.leave(),
  rejoin: () => session.enter(),
  present(next) {
    persona = next
    // While joining it waits for `ready`, after leaving for the next join.
    const status = session.cluster?.status.get()
    if (status === 'up' || status === 'isolated') session.cluster?.setMeta(persona)
  },
})

controls.showRoom(session.room)
// The fragment names the room: a link into the page must not change it.
document.querySelector('.skip')?.addEventListener('click', (event) => {
  event.preventDefault()
  byId('members-title', HTMLElement).focus()
})
addEventListener('hashchange', () => {
  const room = roomFromLocation()
  controls.showRoom(room)
  if (room === session.room) return
  log.clear()
  session.enter(room)
})
if (!takeStopped()) session.enter()
renderNow()

/** Follows one membership until it is over. */
function watch(cluster: OpeningCluster): () => void {
  window.cluster = cluster
  isSignalingDown = false
  arrivalText = ''
  const givenMeta = persona
  const doubts = new Doubts()
  rememberNames(cluster)
  for (const event of cluster.events.recent()) note(event)
  const stop = [
    cluster.events.subscribe(note),
    cluster.members.subscribe((members) => {
      rememberNames(cluster)
      for (const doubt of doubts.update(members)) {
        log.add(doubt)
        graph.pulse(doubt.nodeId)
      }
      render()
    }),
    cluster.convergence.subscribe(render),
    cluster.status.subscribe((status) => {
      render()
      // Left from the console, or by the cluster itself: the page follows.
      if (status === 'left' && session.phase === 'joined') session.leave()
    }),
    cursors.watch(cluster),
    board.watch(cluster),
  ]
  cluster.ready.then(
    () => {
      if (session.cluster !== cluster) return
      // The name may have been changed while the join was under way.
      if (persona !== givenMeta) cluster.setMeta(persona)
      else if (isColorByLot) settleColor(cluster)
      isColorByLot = false
    },
    () => {},
  )
  return () => {
    for (const end of stop) end()
  }
}

/** Two tabs that drew the same colour are hard to tell apart: the newcomer takes another. */
function settleColor(cluster: Cluster): void {
  const others = cluster.members.get().filter(({ self }) => !self)
  const color = rarestColor(persona.color, others.map(personaOf))
  if (color !== persona.color) controls.wear(color)
}

/** One event into the log and, where it is about a member, into the graph. */
function note(event: ClusterEvent): void {
  if (event.type === 'signaling') {
    isSignalingDown = event.state === 'down'
    render()
  }
  if (event.type === 'joined') {
    arrivalText = arrival(event)
    render()
  }
  log.add(event)
  if (event.type === 'member-status' || event.type === 'member-meta') graph.pulse(event.nodeId)
}

/** At once: a page that is about to block has one more frame. */
function setFrozen(isNow: boolean): void {
  isFrozen = isNow
  renderNow()
}

function rememberNames(cluster: Cluster): void {
  for (const member of cluster.members.get()) {
    if (member.self) selfId = member.nodeId
    namesSeen.delete(member.nodeId)
    namesSeen.set(member.nodeId, personaOf(member).name)
  }
  for (const nodeId of namesSeen.keys()) {
    if (namesSeen.size <= MAX_NAMES) break
    namesSeen.delete(nodeId)
  }
}

/** Brings the whole page in line with the cluster as it is now; each view touches only what differs. */
function renderNow(): void {
  const { cluster, phase, room, error } = session
  const members = cluster?.members.get() ?? []
  const gossip = cluster?.convergence.get()
  const status = cluster?.status.get() ?? 'left'
  const isArriving = cluster !== undefined && arrivalText === ''
  graph.update({ members, gossip: gossip?.state ?? 'diffusing', idle: cluster === undefined, isArriving })
  table.update(members, isArriving)
  route.update(cluster, members)
  setText(memberCount, String(members.length))
  convergence.update(gossip)
  controls.showPhase(phase)
  failing.show(phase === 'joined')
  setText(arrivalLine, cluster ? arrivalText : '')
  narration.update({
    room,
    phase,
    status,
    isArriving,
    isFrozen,
    members,
    gossip: gossip?.state ?? 'diffusing',
    isSignalingDown,
    error,
  })
}
