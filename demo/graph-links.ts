import type { Member } from '../src/index.ts'
import { setAttribute, setText, svg } from './dom.ts'
import { formatMs } from './format.ts'
import { along, bend, type Point, type Ring } from './layout.ts'
import { personaOf } from './persona.ts'

/** A link as drawn: one curve, and beside the own ones their round-trip time. */
interface Chord {
  /** Self comes first where it is one of the two. */
  readonly from: string
  readonly to: string
  readonly line: SVGPathElement
  rtt: SVGTextElement | undefined
}

/** What the members say about one link. */
interface Claim {
  readonly from: Member
  readonly to: Member
  /** Both ends name it. A link that only one end knows of is coming or going. */
  isMutual: boolean
}

/** Shorter own links carry no figure: there is no room beside the two dots. */
const SHORTEST_LABELLED = 96

/** The links between all members, as far as their ends have published them. */
export class GraphLinks {
  readonly lines = svg('g', { class: 'links' })
  readonly labels = svg('g', { class: 'rtts' })
  readonly #chords = new Map<string, Chord>()
  #memberCount = 0

  get count(): number {
    return this.#chords.size
  }

  /** Brings the chords in line with what the members claim; only what differs is touched. */
  update(members: readonly Member[]): void {
    this.#memberCount = members.length
    const claims = collectClaims(members)
    for (const [key, chord] of this.#chords) {
      if (claims.has(key)) continue
      chord.line.remove()
      chord.rtt?.remove()
      this.#chords.delete(key)
    }
    for (const [key, claim] of claims) this.#paint(this.#chords.get(key) ?? this.#enter(key, claim), claim)
  }

  /** Lays every chord between where its ends are right now. */
  draw(at: (nodeId: string) => Point | undefined, ring: Ring): void {
    for (const { from, to, line, rtt } of this.#chords.values()) {
      const a = at(from)
      const b = at(to)
      if (!a || !b) continue
      const control = bend(a, b, ring)
      line.setAttribute(
        'd',
        `M${a.x.toFixed(1)} ${a.y.toFixed(1)}Q${control.x.toFixed(1)} ${control.y.toFixed(1)} ${b.x.toFixed(1)} ${b.y.toFixed(1)}`,
      )
      if (rtt) this.#placeLabel(rtt, a, control, b)
    }
  }

  highlight(nodeId: string | undefined): void {
    for (const { from, to, line, rtt } of this.#chords.values()) {
      const isOn = nodeId !== undefined && (from === nodeId || to === nodeId)
      setAttribute(line, 'data-focus', isOn ? '' : undefined)
      if (rtt) setAttribute(rtt, 'data-focus', isOn ? '' : undefined)
    }
  }

  showRoute(hops: readonly string[]): void {
    const steps = new Set(hops.slice(1).map((hop, i) => keyOf(hops[i]!, hop)))
    for (const [key, { line, rtt }] of this.#chords) {
      const isOn = steps.has(key)
      setAttribute(line, 'data-route', isOn ? '' : undefined)
      if (rtt) setAttribute(rtt, 'data-route', isOn ? '' : undefined)
    }
  }

  #enter(key: string, { from, to }: Claim): Chord {
    const line = svg('path', { class: 'link', pathLength: 1 })
    const isOwn = from.self
    if (isOwn) this.lines.append(line)
    else this.lines.prepend(line)
    const chord: Chord = { from: from.nodeId, to: to.nodeId, line, rtt: undefined }
    this.#chords.set(key, chord)
    return chord
  }

  #paint(chord: Chord, { from, to, isMutual }: Claim): void {
    setAttribute(chord.line, 'data-own', from.self ? '' : undefined)
    setAttribute(chord.line, 'data-one-sided', isMutual ? undefined : '')
    setAttribute(chord.line, 'data-relayed', from.self && to.path === 'relayed' ? '' : undefined)
    setAttribute(chord.line, 'data-doubtful', from.suspected || to.suspected ? '' : undefined)
    const isBroken = !isLive(from) || !isLive(to)
    setAttribute(chord.line, 'data-broken', isBroken ? '' : undefined)
    if (!from.self) return
    chord.line.style.setProperty('--color', personaOf(to).color)
    // The last figure of a link that answers no more would say that it does.
    const text = isBroken ? '' : formatMs(to.rttMs)
    if (text && !chord.rtt) this.labels.append((chord.rtt = svg('text', { class: 'rtt' })))
    if (chord.rtt) setText(chord.rtt, text)
  }

  /** In the middle while there is room, near the far end when many links meet at this tab. */
  #placeLabel(label: SVGTextElement, a: Point, control: Point, b: Point): void {
    const length = Math.hypot(a.x - b.x, a.y - b.y)
    const t = this.#memberCount <= 3 ? 0.5 : this.#memberCount <= 8 ? 0.58 : 0.84
    const { x, y } = along(a, control, b, t)
    label.setAttribute('x', x.toFixed(1))
    label.setAttribute('y', y.toFixed(1))
    setAttribute(label, 'data-hidden', length < SHORTEST_LABELLED ? '' : undefined)
  }
}

const keyOf = (one: string, other: string): string => (one < other ? `${one} ${other}` : `${other} ${one}`)

const isLive = ({ status }: Member): boolean => status === 'up' || status === 'joining'

/** One claim for each pair of members of which at least one says that it is linked to the other. */
function collectClaims(members: readonly Member[]): Map<string, Claim> {
  const byNode = new Map(members.map((member) => [member.nodeId, member]))
  const claims = new Map<string, Claim>()
  for (const member of members) {
    for (const otherId of new Set(member.linkedTo)) {
      const other = byNode.get(otherId)
      if (!other || other === member) continue
      const key = keyOf(member.nodeId, otherId)
      const known = claims.get(key)
      if (known) known.isMutual = true
      else
        claims.set(key, {
          ...(other.self ? { from: other, to: member } : { from: member, to: other }),
          isMutual: false,
        })
    }
  }
  return claims
}
