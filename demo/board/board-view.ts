import type { Member, OpeningCluster } from '../../src/index.ts'
import { byId, html, setAttribute, setText } from '../dom.ts'
import { count } from '../format.ts'
import { createFrame } from '../frame.ts'
import type { Point } from '../layout.ts'
import { inkOn, personaOf, type Persona } from '../persona.ts'
import { CallMeter } from './call-meter.ts'
import { CardView, type CardHandlers, type ShownHost } from './card-view.ts'
import { Desk } from './desk.ts'
import { MAX_CARDS } from './kinds.ts'
import type { BoardKinds, CardReading, Draft, Host } from './kinds.ts'
import { MeterView } from './meter-view.ts'

const FULL = `The board is full: it has room for ${MAX_CARDS} cards. Delete one to add another.`
/** Calls are made for measuring for so long, unless they are stopped earlier, in ms. */
const LOAD_MS = 10_000

/** What the first tab of a room finds on the board: how it works, told by what it shows. */
const FIRST_TEXTS = [
  'I live in one of your tabs: the one with my colour and this name.',
  'Close that tab. I jump to another one, and lose no word.',
  'Write on me, paint me, delete me: every tab sees it.',
]
const FIRST_COLORS = ['#dfa02f', '#30a46c', '#4f78f5']
const FIRST_PLACES: readonly Point[] = [
  { x: 0, y: 0 },
  { x: 0.5, y: 0 },
  { x: 1, y: 0 },
]
/** A card, in pixels, as in card.css, and what is left free between two. */
const CARD: Point = { x: 216, y: 140 }
const GAP = 16
/** Where all places are taken, cards lie between them: so many steps from one place to the next. */
const STEPS = 4

/** The board: cards of all tabs, who hosts them, and how fast this tab's calls are. */
export class BoardView {
  readonly #desk: Desk
  readonly #meter = new CallMeter()
  readonly #meterView = new MeterView(this.#meter)
  readonly #persona: () => Persona
  readonly #cards = new Map<string, CardView>()
  readonly #list = byId('cards', HTMLUListElement)
  readonly #hosts = byId('hosts', HTMLUListElement)
  readonly #state = byId('board-state', HTMLElement)
  readonly #said = byId('board-said', HTMLElement)
  readonly #problem = byId('board-problem', HTMLElement)
  readonly #add = byId('add-card', HTMLButtonElement)
  readonly #load = byId('load', HTMLButtonElement)
  readonly #request = createFrame(() => this.#render())
  readonly #handlers: CardHandlers
  #cluster: OpeningCluster | undefined
  /** The card that was added here and is to get the focus once it is shown. */
  #awaited: string | undefined

  constructor(kinds: BoardKinds, persona: () => Persona) {
    this.#persona = persona
    this.#desk = new Desk(kinds, this.#meter, {
      onChange: this.#request,
      firstCards: () => FIRST_TEXTS.map((text, i) => this.#firstCard(text, i)),
      name: () => persona().name,
    })
    this.#handlers = {
      write: (id, text, before) => this.#desk.write(id, text, before),
      move: (id, { x, y }) => this.#desk.move(id, x, y),
      paint: (id, color) => void this.#desk.paint(id, color),
      remove: (id) => void this.#remove(id),
    }
    this.#add.addEventListener('click', () => this.#addCard())
    this.#load.addEventListener('click', () => this.#desk.load(this.#desk.isUnderLoad ? 0 : LOAD_MS))
    // a page that was stopped or cannot join says so, too
    this.#request()
  }

  /** Starts with a membership. Returns the way to stop. */
  watch(cluster: OpeningCluster): () => void {
    this.#cluster = cluster
    const stop = [cluster.members.subscribe(this.#request), this.#desk.watch(cluster)]
    return () => {
      for (const end of stop) end()
      this.#cluster = this.#awaited = undefined
      this.#request()
    }
  }

  #render(): void {
    const { phase, cards } = this.#desk
    const members = this.#cluster?.members.get() ?? []
    const hosted = new Map<string, number>()
    const jumps: string[] = []
    for (const [id, card] of cards) {
      const host = shownHost(card.host, members)
      if (!host.isLost) hosted.set(host.nodeId, (hosted.get(host.nodeId) ?? 0) + 1)
      const view = this.#cards.get(id) ?? this.#enter(id)
      const trail = card.trail.map((past) => shownHost(past, members))
      const jump = view.update(card, host, trail)
      if (jump) jumps.push(`“${titleOf(card)}” jumped from ${jump.from.name} to ${jump.to.name}.`)
      if (id === this.#awaited) this.#focus(view)
    }
    const ids = new Set(cards.map(([id]) => id))
    for (const [id, view] of this.#cards) if (!ids.has(id)) this.#drop(id, view)

    this.#showHosts(members, hosted)
    setAttribute(this.#list, 'data-phase', phase)
    setText(this.#state, stateText(phase, this.#desk.size))
    if (jumps.length > 0) setText(this.#said, jumps.join(' '))
    setText(this.#problem, this.#desk.problem || (this.#desk.isFull ? FULL : ''))
    const canChange = phase === 'open'
    setAttribute(this.#add, 'aria-disabled', canChange && !this.#desk.isFull ? undefined : 'true')
    setAttribute(this.#load, 'aria-disabled', canChange ? undefined : 'true')
    setAttribute(this.#load, 'aria-pressed', String(this.#desk.isUnderLoad))
    this.#meterView.update()
  }

  /** Every tab, and how many cards it hosts. */
  #showHosts(members: readonly Member[], hosted: ReadonlyMap<string, number>): void {
    const shown = members.filter(({ status }) => status === 'up' || status === 'unreachable')
    const key = JSON.stringify(
      shown.map((member) => [personaOf(member), member.status, hosted.get(member.nodeId)]),
    )
    if (this.#hosts.dataset['key'] === key) return
    this.#hosts.dataset['key'] = key
    this.#hosts.replaceChildren(
      ...shown.map((member) => {
        const { name, color } = personaOf(member)
        const item = html('li', 'host')
        item.style.setProperty('--color', color)
        item.style.setProperty('--ink-on-color', inkOn(color))
        const number = hosted.get(member.nodeId) ?? 0
        setAttribute(item, 'data-idle', number === 0 ? '' : undefined)
        setAttribute(item, 'data-status', member.status)
        const figure = html('span', 'host-count', String(number))
        figure.setAttribute('aria-hidden', 'true')
        const spoken = ` hosts ${count(number, 'card')}`
        const shownName = html('span', 'host-name', name)
        shownName.dir = 'auto'
        item.append(figure, shownName, html('span', 'visually-hidden', spoken))
        return item
      }),
    )
  }

  #enter(id: string): CardView {
    const view = new CardView(id, this.#handlers)
    this.#cards.set(id, view)
    this.#list.append(view.element)
    return view
  }

  #drop(id: string, view: CardView): void {
    view.end()
    this.#cards.delete(id)
  }

  #focus(view: CardView): void {
    this.#awaited = undefined
    view.focus()
  }

  #addCard(): void {
    if (this.#add.getAttribute('aria-disabled') === 'true') return
    const { cards } = this.#desk
    const { color } = this.#persona()
    this.#awaited = this.#desk.add({
      text: '',
      color,
      ...freePlace(
        cards.map(([, card]) => card),
        this.#size,
      ),
    })
    // at once, so that the next key goes into it
    this.#render()
  }

  get #size(): Point {
    return { x: this.#list.clientWidth, y: this.#list.clientHeight }
  }

  async #remove(id: string): Promise<void> {
    const ids = [...this.#cards.keys()]
    const hadFocus = this.#cards.get(id)?.element.contains(document.activeElement)
    const next = ids[ids.indexOf(id) + 1] ?? ids[ids.indexOf(id) - 1]
    if (!(await this.#desk.remove(id)) || !hadFocus) return
    // whoever works by keyboard goes on where the card was
    if (document.activeElement && document.activeElement !== document.body) {
      if (!this.#cards.get(id)?.element.contains(document.activeElement)) return
    }
    const neighbour = next === undefined ? undefined : this.#cards.get(next)
    if (neighbour) neighbour.focus()
    else this.#add.focus()
  }

  #firstCard(text: string, at: number): Draft & { readonly id: string } {
    return { id: `first-${at}`, text, color: FIRST_COLORS[at]!, ...FIRST_PLACES[at]! }
  }
}

/** The host as the member list has it now: its name may have changed, and it may be gone. */
function shownHost(host: Host, members: readonly Member[]): ShownHost {
  const member = members.find(({ nodeId }) => nodeId === host.nodeId)
  if (!member) return { ...host, isSelf: false, isLost: true }
  return { ...host, ...personaOf(member), isSelf: member.self, isLost: member.status === 'unreachable' }
}

function stateText(phase: Desk['phase'], number: number): string {
  if (phase === 'out') return 'Join the room to see its board.'
  if (phase === 'seeking') return 'Finding a host…'
  return number === 0 ? 'No cards here. Add one: it will live in one of the tabs.' : ''
}

const titleOf = ({ text }: CardReading): string => text.split('\n')[0]!.slice(0, 40) || 'A card'

/** The first place of a board of this size where a card lies on no other; else the one that is farthest from all. */
function freePlace(cards: readonly Point[], size: Point): Point {
  const columns = placesIn(size.x, CARD.x)
  const rows = placesIn(size.y, CARD.y)
  // positions are shares of what a card leaves free
  const apart: Point = { x: CARD.x / Math.max(1, size.x - CARD.x), y: CARD.y / Math.max(1, size.y - CARD.y) }
  const distance = (place: Point): number =>
    Math.min(
      1,
      ...cards.map(({ x, y }) => Math.max(Math.abs(x - place.x) / apart.x, Math.abs(y - place.y) / apart.y)),
    )
  const between = (places: number): number => (places - 1) * STEPS + 1
  const places = [...lattice(columns, rows), ...lattice(between(columns), between(rows))]
  return places.reduce((best, place) => (distance(place) > distance(best) ? place : best))
}

const placesIn = (room: number, card: number): number => Math.max(2, Math.floor((room + GAP) / (card + GAP)))

/** Row by row, from the upper left corner to the lower right one. */
const lattice = (columns: number, rows: number): Point[] =>
  Array.from({ length: columns * rows }, (_, i) => ({
    x: (i % columns) / (columns - 1),
    y: Math.floor(i / columns) / (rows - 1),
  }))
