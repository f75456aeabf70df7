/**
 * Mail: what users of a simulated room send each other, and whether it keeps its promises (DESIGN section 17).
 *
 * R1 no message of a user is sent to an authority that the sender holds unreachable or removed. R2 what arrives of one
 * life at another in one lane arrives in the order it was sent, and nothing twice. R3 every accepted message has one
 * outcome, what was told to have been handled has arrived, and once all agree again nothing is pending but for those
 * that are gone.
 */
import type { Output } from '../core/events.ts'
import type { NodeId } from '../core/identity/node-id.ts'
import { authorityOf } from '../core/identity/node-id.ts'
import type { Random } from '../core/time.ts'
import { decodeMessage } from '../core/wire/codec.ts'
import type { Lane } from '../core/wire/frames.ts'
import { LANES } from '../core/wire/frames.ts'
import type { InvariantName } from './invariants.ts'
import type { SimulatedProcess } from './process.ts'
import { below, between, pick, seededRandom } from './random.ts'
import type { Timeline } from './timeline.ts'

export interface MailOptions {
  readonly timeline: Timeline
  readonly seed: number
  /** Mean pause between two bursts of messages in the room, in ms. */
  readonly everyMs: number
  readonly present: () => Iterable<SimulatedProcess>
  readonly report: (invariant: InvariantName, node: string, what: string) => void
}

/** What was counted of the mail of one run. */
export interface MailCounts {
  readonly sent: number
  readonly taken: number
  readonly lost: number
}

interface Sent {
  readonly to: NodeId
  hasArrived: boolean
}

/** A share of all receivers is slow: it handles a message this late, in ms. */
const SLOW_MS = 300
const SLOW_SHARE = 0.2
const BURST = 5
const SIZES = [8, 8, 8, 200, 3_000, 40_000]

export class Mail {
  readonly #options: MailOptions
  readonly #random: Random
  /** By sender, the messages without an outcome, and with it all that were taken: by id. */
  readonly #open = new Map<SimulatedProcess, Map<number, Sent>>()
  readonly #senders: SimulatedProcess[] = []
  /** The newest message that arrived of each life at another in a lane. */
  readonly #newest = new Map<string, number>()
  #ids = 0
  #isOn = false
  #counts = { sent: 0, taken: 0, lost: 0 }

  constructor(options: MailOptions) {
    this.#options = options
    this.#random = seededRandom(options.seed, 'mail')
  }

  get counts(): MailCounts {
    return this.#counts
  }

  start(): void {
    this.#isOn = true
    this.#plan()
  }

  stop(): void {
    this.#isOn = false
  }

  /** R1, of one message on a link. */
  onSent(process: SimulatedProcess, neighbour: NodeId | undefined, lane: Lane, bytes: Uint8Array): void {
    if (lane === 'control') return
    const decoded = decodeMessage(bytes)
    if (!decoded.ok) return
    for (const { route, frame } of decoded.envelopes) {
      if (frame.kind !== 'segment' || (route && route.origin !== process.nodeId)) continue
      const to = route?.destination ?? neighbour
      const status = to === undefined ? undefined : process.node.view.statusOf(to)
      if (status === 'unreachable' || status === 'removed') {
        const what = `sends a message to ${to}, which it holds ${status}`
        this.#options.report('R1 nothing is sent to whom is unreachable', process.label, what)
      }
    }
  }

  onOutput(process: SimulatedProcess, output: Extract<Output, { type: 'deliver' | 'outcome' }>): void {
    if (output.type === 'outcome') this.#onOutcome(process, output.id, output.outcome)
    else this.#onDelivered(process, output)
  }

  /** What is still without an outcome, though its sender and addressee are there. */
  pending(): string[] {
    const present = [...this.#options.present()]
    const authorities = new Set(present.map(({ nodeId }) => authorityOf(nodeId)))
    const found: string[] = []
    for (const process of present) {
      for (const [id, { to }] of this.#open.get(process) ?? []) {
        if (authorities.has(authorityOf(to))) found.push(`${process.label}: message ${id} to ${to}`)
      }
    }
    return found
  }

  #plan(): void {
    const { timeline, everyMs } = this.#options
    timeline.after(between(this.#random, 0, 2 * everyMs), () => {
      if (!this.#isOn) return
      this.#burst()
      this.#plan()
    })
  }

  #burst(): void {
    const all = [...this.#options.present()]
    if (all.length < 2) return
    const [from, to] = [pick(this.#random, all), pick(this.#random, all)]
    if (from === to || !from.undisturbed) return
    const lane = pick(this.#random, LANES)
    let open = this.#open.get(from)
    if (!open) {
      this.#open.set(from, (open = new Map<number, Sent>()))
      this.#senders.push(from)
    }
    const sender = this.#senders.indexOf(from)
    const messages = Array.from({ length: 1 + below(this.#random, BURST) }, () => {
      const id = ++this.#ids
      open.set(id, { to: to.nodeId, hasArrived: false })
      this.#counts.sent++
      const bytes = new Uint8Array(pick(this.#random, SIZES))
      const view = new DataView(bytes.buffer)
      view.setUint32(0, sender)
      view.setUint32(4, id)
      return { id, to: authorityOf(to.nodeId), mailbox: 'mail', lane, bytes, text: false }
    })
    from.input({ type: 'send', messages })
  }

  #onDelivered(process: SimulatedProcess, output: Extract<Output, { type: 'deliver' }>): void {
    const { nodeId, lane, messages } = output
    const stream = `${nodeId} ${process.nodeId} ${lane}`
    for (const { bytes } of messages) {
      const view = new DataView(bytes.buffer, bytes.byteOffset)
      const [sender, id] = [this.#senders[view.getUint32(0)], view.getUint32(4)]
      const newest = this.#newest.get(stream) ?? 0
      if (id <= newest) {
        const what = `message ${id} of ${nodeId} came after ${newest}, in lane ${lane}`
        this.#options.report('R2 messages come in order, once', process.label, what)
      }
      this.#newest.set(stream, Math.max(newest, id))
      const sent = sender && this.#open.get(sender)?.get(id)
      if (sent) sent.hasArrived = true
    }
    const late = this.#random() < SLOW_SHARE ? this.#random() * SLOW_MS : 0
    process.later(late, { type: 'taken', nodeId, lane, count: messages.length, refused: [] })
  }

  #onOutcome(process: SimulatedProcess, id: number, outcome: string): void {
    const open = this.#open.get(process)
    const sent = open?.get(id)
    const { report } = this.#options
    if (!open || !sent) {
      return report(
        'R3 every message has one outcome',
        process.label,
        `message ${id} ended twice: ${outcome}`,
      )
    }
    open.delete(id)
    if (outcome !== 'taken') {
      this.#counts.lost++
      return
    }
    this.#counts.taken++
    if (!sent.hasArrived) {
      report('R3 every message has one outcome', process.label, `message ${id} was taken, but never arrived`)
    }
  }
}
