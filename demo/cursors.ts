import type { Cluster, Member, PeerState } from '../src/index.ts'
import { html, setAttribute, setText } from './dom.ts'
import { createFrame, prefersReducedMotion } from './frame.ts'
import { clamp, onRing, type Point, type Ring } from './layout.ts'
import { inkOn, personaOf } from './persona.ts'

/**
 * Where a tab's pointer is, in units of the stage: (0.5, 0.5) is its middle and the ring of members spans 0.22 to
 * 0.78 both ways. Measured against the ring, not the window: a pointer that rests on a member does so in every tab,
 * however large or narrow.
 */
export interface CursorPosition {
  readonly x: number
  readonly y: number
}

interface Arrow {
  readonly element: HTMLDivElement
  readonly label: HTMLSpanElement
  at: Point | undefined
  target: Point
}

/** Least time between two publications, in ms: twenty a second. */
const PUBLISH_INTERVAL_MS = 50
const RING_SPAN = 0.28
const GLIDE_MS = 45

/** Publishes this tab's pointer over the stage and shows those of the others. */
export class Cursors {
  readonly #stage: HTMLElement
  readonly #layer: HTMLElement
  readonly #ring: () => Ring
  readonly #arrows = new Map<string, Arrow>()
  readonly #request = createFrame(() => this.#render())
  #state: PeerState<CursorPosition> | undefined
  #cluster: Cluster | undefined
  #own: Point | 'outside' | undefined
  #publishedAt = 0
  #timer: number | undefined
  #frame: number | undefined
  #lastFrame = 0

  constructor(stage: HTMLElement, layer: HTMLElement, ring: () => Ring) {
    this.#stage = stage
    this.#layer = layer
    this.#ring = ring
    const follow = (event: PointerEvent): void => {
      const box = stage.getBoundingClientRect()
      this.#move({ x: event.clientX - box.left, y: event.clientY - box.top })
    }
    stage.addEventListener('pointermove', follow)
    stage.addEventListener('pointerdown', follow)
    stage.addEventListener('pointerleave', () => this.#move('outside'))
  }

  /** Starts with a membership. Returns the way to stop. */
  watch(cluster: Cluster): () => void {
    const state = cluster.peerState<CursorPosition>('cursor')
    this.#state = state
    this.#cluster = cluster
    const stop = [state.subscribe(this.#request), cluster.members.subscribe(this.#request)]
    this.#request()
    return () => {
      for (const end of stop) end()
      clearTimeout(this.#timer)
      this.#timer = this.#own = this.#state = this.#cluster = undefined
      this.#request()
    }
  }

  /** The ring moved: so did everything that is measured against it. */
  refresh(): void {
    this.#request()
  }

  #move(own: Point | 'outside'): void {
    this.#own = own
    if (this.#timer !== undefined) return
    const wait = Math.max(0, this.#publishedAt + PUBLISH_INTERVAL_MS - performance.now())
    this.#timer = window.setTimeout(() => requestAnimationFrame(() => this.#publish()), wait)
  }

  #publish(): void {
    this.#timer = undefined
    const own = this.#own
    if (own === undefined || this.#cluster?.status.get() !== 'up') return
    this.#own = undefined
    this.#publishedAt = performance.now()
    if (own === 'outside') this.#state?.clear()
    else this.#state?.set(toStageUnits(own, this.#ring()))
  }

  /** Brings the arrows in line with what the others published. */
  #render(): void {
    const positions = this.#state?.get() ?? new Map<string, unknown>()
    const shown = new Set<string>()
    for (const member of this.#cluster?.members.get() ?? []) {
      const position = readPosition(positions.get(member.nodeId))
      if (!position || member.self || member.status === 'unreachable') continue
      shown.add(member.nodeId)
      const arrow = this.#arrows.get(member.nodeId) ?? this.#enter(member.nodeId)
      this.#paint(arrow, member)
      arrow.target = this.#toPixels(position)
    }
    for (const [nodeId, arrow] of this.#arrows) {
      if (shown.has(nodeId)) continue
      arrow.element.remove()
      this.#arrows.delete(nodeId)
    }
    this.#start()
  }

  #enter(nodeId: string): Arrow {
    const element = html('div', 'cursor')
    element.dataset['testid'] = 'cursor'
    element.dataset['nodeId'] = nodeId
    const label = html('span', 'cursor-name')
    element.append(html('span', 'cursor-tip'), label)
    this.#layer.append(element)
    const arrow: Arrow = { element, label, at: undefined, target: { x: 0, y: 0 } }
    this.#arrows.set(nodeId, arrow)
    return arrow
  }

  #paint({ element, label }: Arrow, member: Member): void {
    const { name, color } = personaOf(member)
    if (element.dataset['color'] !== color) {
      setAttribute(element, 'data-color', color)
      element.style.setProperty('--color', color)
      element.style.setProperty('--ink-on-color', inkOn(color))
    }
    setText(label, name)
  }

  #start(): void {
    if (this.#frame !== undefined || this.#arrows.size === 0) return
    if (document.hidden || prefersReducedMotion()) {
      this.#draw(1)
      return
    }
    this.#lastFrame = performance.now()
    this.#frame = requestAnimationFrame((now) => this.#glide(now))
  }

  /** Positions come twenty times a second; the arrows glide from one to the next. */
  #glide(now: number): void {
    const share = 1 - Math.exp(-Math.max(0, now - this.#lastFrame) / GLIDE_MS)
    this.#lastFrame = now
    this.#frame = this.#draw(share) ? requestAnimationFrame((next) => this.#glide(next)) : undefined
  }

  /** Moves every arrow by a share of its way; tells whether one is still under way. */
  #draw(share: number): boolean {
    let isMoving = false
    for (const arrow of this.#arrows.values()) {
      const { target } = arrow
      const at = arrow.at ?? target
      const dx = target.x - at.x
      const dy = target.y - at.y
      const isThere = share === 1 || Math.abs(dx) + Math.abs(dy) < 0.3
      if (isThere && arrow.at === target) continue
      arrow.at = isThere ? target : { x: at.x + dx * share, y: at.y + dy * share }
      isMoving ||= !isThere
      // near the right edge the name hangs to the left
      setAttribute(arrow.element, 'data-flip', arrow.at.x > this.#stage.clientWidth - 150 ? '' : undefined)
      arrow.element.style.transform = `translate(${arrow.at.x.toFixed(1)}px, ${arrow.at.y.toFixed(1)}px)`
    }
    return isMoving
  }

  #toPixels({ x, y }: CursorPosition): Point {
    const point = onRing(this.#ring(), (x - 0.5) / RING_SPAN, (y - 0.5) / RING_SPAN)
    return {
      x: clamp(point.x, 4, this.#stage.clientWidth - 24),
      y: clamp(point.y, 4, this.#stage.clientHeight - 30),
    }
  }
}

function toStageUnits({ x, y }: Point, ring: Ring): CursorPosition {
  const unit = (value: number): number => Math.round(clamp(0.5 + RING_SPAN * value, 0, 1) * 10_000) / 10_000
  return { x: unit((x - ring.cx) / ring.rx), y: unit((y - ring.cy) / ring.ry) }
}

/** The position in a value that came from another tab, or `undefined` where there is none. */
function readPosition(value: unknown): CursorPosition | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { x, y } = value as { x?: unknown; y?: unknown }
  if (typeof x !== 'number' || typeof y !== 'number' || !Number.isFinite(x) || !Number.isFinite(y))
    return undefined
  return { x: clamp(x, 0, 1), y: clamp(y, 0, 1) }
}
