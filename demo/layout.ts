import { hash } from './persona.ts'

export interface Point {
  readonly x: number
  readonly y: number
}

/** The ellipse on which the members stand, in pixels of the stage. */
export interface Ring {
  readonly cx: number
  readonly cy: number
  readonly rx: number
  readonly ry: number
}

/** A member's place: a point on the ring and the direction in which its name is written. */
export interface Place extends Point {
  /** Radians, clockwise from three o'clock. */
  readonly angle: number
}

export interface Placed {
  readonly nodeId: string
  readonly authority: string
}

const TURN = 2 * Math.PI
/** From this many members on names begin to turn outwards, and at the second figure they all point away. */
const TURNING_FROM = 9
const TURNED_AT = 16

/** How far names are turned outwards with `count` members: 0 level, 1 like the rays of a sun. */
export function labelTurn(count: number): number {
  return clamp((count - TURNING_FROM) / (TURNED_AT - TURNING_FROM), 0, 1)
}

/** A stage of this width has no room for names beside the members: they go below and above. */
export const isNarrow = (width: number): boolean => width < 560

/** The ring for `count` members in a stage of this size, with room for the names outside it. */
export function ringFor(width: number, height: number, count: number): Ring {
  const turn = labelTurn(count)
  const marginX = isNarrow(width) && turn === 0 ? 58 : Math.min(width * 0.24, 158 - 30 * turn)
  const marginY = Math.min(height * 0.26, 78 + 28 * turn)
  const ry = Math.max(40, height / 2 - marginY)
  const rx = Math.max(40, Math.min(width / 2 - marginX, ry * 1.8))
  return { cx: width / 2, cy: height / 2 + 8 * (1 - turn), rx, ry }
}

/**
 * Where each member stands. A pure function of the set of members: every tab draws the same picture, and a reload
 * keeps its place, because the order around the ring is that of a hash of the authority. A newcomer pushes in between
 * two neighbours, and the figure as a whole is turned to where it differs least from the hashes themselves: over
 * random members one that joins 12 others moves them by 7 degrees on average, one that joins 29 by 3.
 */
export function placeMembers(members: readonly Placed[], ring: Ring): Map<string, Place> {
  const sorted = members
    .map(({ nodeId, authority }) => ({ nodeId, key: hash(authority) }))
    .sort((a, b) => a.key - b.key || (a.nodeId < b.nodeId ? -1 : 1))
  const count = sorted.length
  const places = new Map<string, Place>()
  if (count === 1) return places.set(sorted[0]!.nodeId, { x: ring.cx, y: ring.cy, angle: Math.PI / 2 })
  const step = TURN / count
  const start = firstAngle(
    sorted.map(({ key }) => (key / 2 ** 32) * TURN),
    step,
  )
  for (const [i, { nodeId }] of sorted.entries()) {
    const angle = start + i * step
    places.set(nodeId, { ...onRing(ring, Math.cos(angle), Math.sin(angle)), angle })
  }
  return places
}

/** A point in units of the ring: (1, 0) is its right end, (0, 1) its lower. */
export function onRing(ring: Ring, u: number, v: number): Point {
  return { x: ring.cx + u * ring.rx, y: ring.cy + v * ring.ry }
}

/** Where a link begins to bend: chords lean towards the middle, so that near neighbours do not share one line. */
export function bend(a: Point, b: Point, ring: Ring): Point {
  const lean = 0.38
  return {
    x: ((a.x + b.x) / 2) * (1 - lean) + ring.cx * lean,
    y: ((a.y + b.y) / 2) * (1 - lean) + ring.cy * lean,
  }
}

/** The point at `t` (0 at `a`, 1 at `b`) of the quadratic curve that `bend` describes. */
export function along(a: Point, control: Point, b: Point, t: number): Point {
  const s = 1 - t
  return {
    x: s * s * a.x + 2 * s * t * control.x + t * t * b.x,
    y: s * s * a.y + 2 * s * t * control.y + t * t * b.y,
  }
}

export const clamp = (value: number, low: number, high: number): number =>
  Math.min(high, Math.max(low, value))

/** The angle of the first member for which all stand closest to the angles they want: a circular mean. */
function firstAngle(wanted: readonly number[], step: number): number {
  let x = 0
  let y = 0
  for (const [i, angle] of wanted.entries()) {
    x += Math.cos(angle - i * step)
    y += Math.sin(angle - i * step)
  }
  return Math.atan2(y, x)
}
