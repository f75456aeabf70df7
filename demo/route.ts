import type { Cluster, Member, Trace } from '../src/index.ts'
import { byId, html, setAttribute, setText } from './dom.ts'
import { formatMs } from './format.ts'
import { personaOf } from './persona.ts'

export interface RouteHandlers {
  /** Another member was chosen, or none; or the way to it has changed. `hops` begin with this tab. */
  onRoute(chosen: string | undefined, hops: readonly string[]): void
}

/** The chosen member is asked again for the way this long after its answer, in ms. */
const ASK_AGAIN_MS = 2_000
const NOBODY_CHOSEN = 'Press a member to see the way that a message takes to it.'

/** The way to the member that the visitor has chosen: its names, what it is in one sentence, and how long it takes. */
export class RouteView {
  readonly #hops = byId('route-hops', HTMLOListElement)
  readonly #rtt = byId('route-rtt', HTMLElement)
  readonly #text = byId('route-text', HTMLElement)
  readonly #handlers: RouteHandlers
  #cluster: Cluster | undefined
  #members = new Map<string, Member>()
  #chosen: string | undefined
  #told = ''
  /** What the chosen member answered last; `silent` where it did not. */
  #trace: Trace | 'silent' | undefined
  #timer: number | undefined

  constructor(handlers: RouteHandlers) {
    this.#handlers = handlers
  }

  /** Chooses a member; the same one again, or `undefined`, chooses none. */
  choose(nodeId: string | undefined): void {
    this.#chosen = nodeId === this.#chosen ? undefined : nodeId
    this.#trace = undefined
    void this.#ask()
    this.#show()
  }

  update(cluster: Cluster | undefined, members: readonly Member[]): void {
    this.#cluster = cluster
    this.#members = new Map(members.map((member) => [member.nodeId, member]))
    const chosen = this.#chosen === undefined ? undefined : this.#members.get(this.#chosen)
    if (!chosen || chosen.self) this.#chosen = undefined
    this.#show()
  }

  #show(): void {
    const member = this.#chosen === undefined ? undefined : this.#members.get(this.#chosen)
    const hops = member ? this.#hopsTo(member) : []
    const told = [this.#chosen, ...hops].join(' ')
    if (told !== this.#told) this.#handlers.onRoute(this.#chosen, hops)
    this.#told = told
    const names = hops.map((nodeId) => this.#nameOf(nodeId))
    this.#showNames(hops, names)
    setText(this.#text, member ? sentence(member, names) : NOBODY_CHOSEN)
    const { path, rttMs } = member ?? {}
    const ms = this.#trace === 'silent' ? undefined : (this.#trace?.rttMs ?? rttMs)
    setText(this.#rtt, member && path !== 'none' ? formatMs(ms) : '')
    setAttribute(this.#rtt, 'title', this.#trace === 'silent' ? 'It does not answer' : 'There and back')
  }

  #hopsTo({ nodeId, path }: Member): readonly string[] {
    if (path === 'none') return []
    const answered = typeof this.#trace === 'object' ? this.#trace.hops : undefined
    return this.#cluster?.route(nodeId as Member['nodeId']) ?? answered ?? []
  }

  #showNames(hops: readonly string[], names: readonly string[]): void {
    const isSame = this.#hops.children.length === hops.length
    if (!isSame) {
      this.#hops.replaceChildren(
        ...hops.map(() => {
          const item = html('li')
          item.append(html('span', 'swatch'), html('span', 'hop-name'))
          return item
        }),
      )
    }
    for (const [i, item] of [...this.#hops.children].entries()) {
      const member = this.#members.get(hops[i]!)
      const [swatch, name] = item.children as unknown as [HTMLElement, HTMLElement]
      if (member) swatch.style.setProperty('--color', personaOf(member).color)
      setText(name, names[i]!)
    }
    this.#hops.hidden = hops.length === 0
  }

  #nameOf(nodeId: string): string {
    const member = this.#members.get(nodeId)
    return member?.self ? 'this tab' : member ? personaOf(member).name : nodeId.slice(0, 6)
  }

  /** Asks the chosen member for the way, and goes on as long as it is chosen. */
  async #ask(): Promise<void> {
    clearTimeout(this.#timer)
    const chosen = this.#chosen
    const cluster = this.#cluster
    if (chosen === undefined || !cluster) return
    const trace = await cluster.trace(chosen as Member['nodeId']).catch(() => 'silent' as const)
    if (this.#chosen !== chosen || this.#cluster !== cluster) return
    this.#trace = trace
    this.#show()
    clearTimeout(this.#timer)
    this.#timer = window.setTimeout(() => void this.#ask(), ASK_AGAIN_MS)
  }
}

function sentence(member: Member, names: readonly string[]): string {
  const { name } = personaOf(member)
  const between = names.slice(1, -1)
  if (member.path === 'none') return `There is no way to ${name} now: a message would wait for one.`
  if (member.path === 'relayed')
    return `A message to ${name} goes encrypted through the signaling server, for want of a direct link.`
  if (member.path === 'direct') return `A message to ${name} goes over a direct link and passes nobody else.`
  if (between.length === 0) return `A message to ${name} is passed on by other members.`
  return `A message to ${name} is passed on by ${list(between)}, over ${names.length - 1} links.`
}

const list = (names: readonly string[]): string =>
  names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
