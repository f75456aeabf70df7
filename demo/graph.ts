import type { GossipState, Member } from '../src/index.ts'
import { setAttribute, setText, svg } from './dom.ts'
import { count } from './format.ts'
import { prefersReducedMotion } from './frame.ts'
import { GraphLinks } from './graph-links.ts'
import {
  clamp,
  isNarrow,
  labelTurn,
  placeMembers,
  ringFor,
  type Place,
  type Point,
  type Ring,
} from './layout.ts'
import { characters, personaOf } from './persona.ts'

/** What the graph shows at one moment. */
export interface GraphView {
  readonly members: readonly Member[]
  readonly gossip: GossipState
  /** The page is not in the cluster: what is shown is over. */
  readonly idle: boolean
  /** Unreachable members are remembered ones: nobody has looked for them yet. */
  readonly isArriving: boolean
}

export interface GraphHandlers {
  /** The ring moved: what lies over the graph can follow. */
  onGeometry(): void
  /** A member was pressed with the pointer; the table has a button for each. */
  onPress(nodeId: string): void
}

/** One member as drawn: it glides from where it is to where it belongs. */
interface Dot {
  readonly group: SVGGElement
  readonly halo: SVGCircleElement
  readonly body: SVGCircleElement
  readonly rim: SVGCircleElement
  readonly label: SVGTextElement
  at: Point
  place: Place
  isGone: boolean
}

/** How fast a dot closes in on its place: the time in which the distance shrinks to a third, in ms. */
const GLIDE_MS = 150
/** How long a removed member fades, in ms; the same as in graph.css. */
const FADE_MS = 900
/** Longer names are cut in the graph; the table has them whole. */
const LONGEST_NAME = 18
const CROWDED_NAME = 13
const NARROW_NAME = 11
const CROWDED_FROM = 13

/** Draws the members on a ring and the links between them as chords. */
export class Graph {
  readonly #svg: SVGSVGElement
  readonly #outline = svg('ellipse', { class: 'ring' })
  readonly #dotLayer = svg('g')
  readonly #links = new GraphLinks()
  readonly #dots = new Map<string, Dot>()
  readonly #handlers: GraphHandlers
  #route: readonly string[] = []
  #view: GraphView = { members: [], gossip: 'diffusing', idle: true, isArriving: false }
  #ring: Ring = { cx: 0, cy: 0, rx: 1, ry: 1 }
  #frame: number | undefined
  #lastFrame = 0

  constructor(element: SVGSVGElement, handlers: GraphHandlers) {
    this.#svg = element
    this.#handlers = handlers
    element.append(this.#outline, this.#links.lines, this.#dotLayer, this.#links.labels)
    new ResizeObserver(() => this.#resize()).observe(element)
    document.addEventListener('visibilitychange', () => this.#snapIfStill())
  }

  /** The ring in pixels of the stage. */
  get ring(): Ring {
    return this.#ring
  }

  update(view: GraphView): void {
    const countBefore = this.#view.members.length
    this.#view = view
    if (view.members.length !== countBefore) this.#measure()
    setAttribute(this.#svg, 'data-gossip', view.idle ? 'idle' : view.gossip)
    setAttribute(this.#svg, 'data-arriving', view.isArriving ? '' : undefined)
    setAttribute(this.#svg, 'data-crowded', this.#isCrowded ? '' : undefined)
    setAttribute(this.#svg, 'data-alone', view.members.length === 1 ? '' : undefined)
    this.#place()
    this.#links.update(view.members)
    this.#links.showRoute(this.#route)
    this.#describe()
    this.#start()
  }

  /** Lets a wave run out from a member: something just happened to it. */
  pulse(nodeId: string): void {
    const dot = this.#dots.get(nodeId)
    if (!dot || document.hidden || prefersReducedMotion()) return
    dot.halo.getAnimations().forEach((animation) => animation.cancel())
    dot.halo.animate(
      [
        { opacity: 0.55, transform: 'scale(1)' },
        { opacity: 0, transform: 'scale(3.4)' },
      ],
      { duration: 1100, easing: 'cubic-bezier(.2,.7,.3,1)' },
    )
  }

  /** Brings one member's links to the front; `undefined` ends it. */
  highlight(nodeId: string | undefined): void {
    setAttribute(this.#svg, 'data-focus', nodeId === undefined ? undefined : '')
    for (const [id, dot] of this.#dots) setAttribute(dot.group, 'data-focus', id === nodeId ? '' : undefined)
    this.#links.highlight(nodeId)
  }

  /** Draws the way from this tab to a member; an empty one ends it. */
  showRoute(hops: readonly string[]): void {
    this.#route = hops
    setAttribute(this.#svg, 'data-route', hops.length > 0 ? '' : undefined)
    for (const [id, dot] of this.#dots)
      setAttribute(dot.group, 'data-route', hops.includes(id) ? '' : undefined)
    this.#links.showRoute(hops)
  }

  get #isCrowded(): boolean {
    return this.#view.members.length >= CROWDED_FROM
  }

  get #isNarrow(): boolean {
    return isNarrow(this.#ring.cx * 2)
  }

  #resize(): void {
    this.#measure()
    this.#place()
    // A new size of the window is no news about members: nothing glides.
    for (const dot of this.#dots.values()) dot.at = dot.place
    this.#draw()
  }

  #measure(): void {
    const { clientWidth, clientHeight } = this.#svg
    if (clientWidth === 0) return
    this.#svg.setAttribute('viewBox', `0 0 ${clientWidth} ${clientHeight}`)
    this.#ring = ringFor(clientWidth, clientHeight, this.#view.members.length)
    for (const [name, value] of Object.entries(this.#ring)) this.#outline.setAttribute(name, String(value))
    setAttribute(this.#svg, 'data-narrow', this.#isNarrow ? '' : undefined)
    this.#handlers.onGeometry()
  }

  /** Gives every member its place, brings in the new ones and lets the removed ones fade. */
  #place(): void {
    const { members } = this.#view
    const places = placeMembers(members, this.#ring)
    const radius = clamp(23 - members.length * 0.55, 8, 21) * (this.#isNarrow ? 0.8 : 1)
    for (const member of members) {
      const place = places.get(member.nodeId)!
      const dot = this.#dots.get(member.nodeId) ?? this.#enter(member.nodeId, place)
      dot.place = place
      this.#paint(dot, member, radius)
    }
    for (const [nodeId, dot] of this.#dots) if (!places.has(nodeId)) this.#exit(nodeId, dot)
  }

  #enter(nodeId: string, place: Place): Dot {
    const group = svg('g', { class: 'dot' })
    const halo = svg('circle', { class: 'halo' })
    const body = svg('circle', { class: 'body' })
    const rim = svg('circle', { class: 'rim' })
    const label = svg('text', { class: 'name' })
    group.append(halo, body, rim, label)
    group.addEventListener('click', () => this.#handlers.onPress(nodeId))
    this.#dotLayer.append(group)
    const dot: Dot = { group, halo, body, rim, label, at: place, place, isGone: false }
    this.#dots.set(nodeId, dot)
    return dot
  }

  #exit(nodeId: string, dot: Dot): void {
    if (dot.isGone) return
    dot.isGone = true
    // Beside the last status: a lost member goes as what it was, without lighting up once more.
    setAttribute(dot.group, 'data-gone', '')
    const forget = (): void => {
      dot.group.remove()
      if (this.#dots.get(nodeId) === dot) this.#dots.delete(nodeId)
    }
    if (document.hidden || prefersReducedMotion()) forget()
    else setTimeout(forget, FADE_MS)
  }

  #paint(dot: Dot, member: Member, radius: number): void {
    const persona = personaOf(member)
    const longest = !this.#isCrowded ? LONGEST_NAME : this.#isNarrow ? NARROW_NAME : CROWDED_NAME
    dot.isGone = false
    setAttribute(dot.group, 'data-gone', undefined)
    setAttribute(dot.group, 'data-status', member.status)
    setAttribute(dot.group, 'data-suspected', member.suspected ? '' : undefined)
    setAttribute(dot.group, 'data-self', member.self ? '' : undefined)
    setAttribute(dot.group, 'data-visibility', member.visibility)
    dot.group.style.setProperty('--color', persona.color)
    dot.halo.setAttribute('r', String(radius))
    dot.body.setAttribute('r', String(radius))
    dot.rim.setAttribute('r', String(radius + (member.self ? 5 : 3.5)))
    setText(dot.label, cut(persona.name, longest))
    this.#turnLabel(dot, radius + (member.self ? 12 : 9))
  }

  /** Writes the name outside the ring: level beside the dot, or along the ray when many stand close together. */
  #turnLabel({ label, place: { angle } }: Dot, distance: number): void {
    const turn = labelTurn(this.#view.members.length)
    const cos = Math.cos(angle)
    const isLeft = cos < -0.001
    if (turn === 0 && (Math.abs(cos) < 0.35 || this.#isNarrow)) {
      const isAbove = Math.sin(angle) < -0.3
      label.setAttribute('text-anchor', 'middle')
      label.setAttribute('transform', `translate(0 ${(isAbove ? -1 : 1) * (distance + 7)})`)
      return
    }
    // On the left the text runs towards the dot, so that no name stands on its head.
    const lean = Math.asin(Math.sin(angle)) * (isLeft ? -1 : 1) * (180 / Math.PI) * turn
    label.setAttribute('text-anchor', isLeft ? 'end' : 'start')
    label.setAttribute(
      'transform',
      `rotate(${lean.toFixed(1)}) translate(${isLeft ? -distance : distance} 0)`,
    )
  }

  #start(): void {
    if (document.hidden) return
    if (prefersReducedMotion()) {
      for (const dot of this.#dots.values()) dot.at = dot.place
      return this.#draw()
    }
    if (this.#frame !== undefined) return
    this.#lastFrame = performance.now()
    this.#frame = requestAnimationFrame((now) => this.#glide(now))
  }

  #glide(now: number): void {
    const share = 1 - Math.exp(-Math.min(100, Math.max(0, now - this.#lastFrame)) / GLIDE_MS)
    this.#lastFrame = now
    let isMoving = false
    for (const dot of this.#dots.values()) {
      const dx = dot.place.x - dot.at.x
      const dy = dot.place.y - dot.at.y
      if (Math.abs(dx) + Math.abs(dy) < 0.2) dot.at = dot.place
      else {
        dot.at = { x: dot.at.x + dx * share, y: dot.at.y + dy * share }
        isMoving = true
      }
    }
    this.#draw()
    this.#frame = isMoving ? requestAnimationFrame((next) => this.#glide(next)) : undefined
  }

  /** A page that comes back shows what is, not what it missed. */
  #snapIfStill(): void {
    if (document.hidden) return
    for (const dot of this.#dots.values()) dot.at = dot.place
    this.#draw()
  }

  #draw(): void {
    for (const { group, at } of this.#dots.values()) {
      group.setAttribute('transform', `translate(${at.x.toFixed(1)} ${at.y.toFixed(1)})`)
    }
    this.#links.draw((nodeId) => this.#dots.get(nodeId)?.at, this.#ring)
  }

  #describe(): void {
    const { members, idle } = this.#view
    const text = idle
      ? 'Graph of members and links: empty.'
      : `Graph of members and links: ${count(members.length, 'member')}, ${count(this.#links.count, 'link')}. The table of members has the details.`
    setAttribute(this.#svg, 'aria-label', text)
  }
}

function cut(text: string, length: number): string {
  const all = characters(text)
  return all.length > length ? `${all.slice(0, length - 1).join('')}…` : text
}
