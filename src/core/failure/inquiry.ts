/**
 * What a member that lost everybody finds out by signaling: it asks each of them for a sign of life, and the signaling
 * server for something that the server answers itself. Silence of a member is a verdict only while the server talks: a
 * socket whose network is gone stays open for long, and says nothing.
 */
import type { NodeId } from '../identity/node-id.ts'

export interface InquiryOptions {
  /** Asks a member by way of the signaling server for a sign of life. */
  readonly askMember: (nodeId: NodeId) => void
  /** Asks the signaling server something that it answers itself. */
  readonly askServer: () => void
}

/** An unanswered question counts as silence this long after the server's first word since it was asked. */
const PATIENCE_MS = 2_000
/** A question to which the server did not react for so long may have been lost: it is asked again. */
const STALE_MS = 500

interface Question {
  askedAt: number
  /** When the server first said anything after that. */
  wordAt: number | undefined
}

export class Inquiry {
  readonly #options: InquiryOptions
  readonly #questions = new Map<NodeId, Question>()
  readonly #gone = new Set<NodeId>()
  #isUp = false
  #serverAskedAt = -Infinity

  constructor(options: InquiryOptions) {
    this.#options = options
  }

  /** Whether the signaling server can be asked, as far as its connection tells. */
  get isUp(): boolean {
    return this.#isUp
  }

  /** What was asked over an earlier connection may be lost with it. */
  connection(isUp: boolean): void {
    this.#isUp = isUp
    this.#serverAskedAt = -Infinity
    this.#questions.clear()
  }

  /** Something came from the signaling server: the way there and back works. */
  heard(now: number): void {
    for (const [nodeId, question] of this.#questions) {
      if (question.wordAt !== undefined) continue
      question.wordAt = now
      if (now - question.askedAt > STALE_MS) this.#options.askMember(nodeId)
    }
  }

  /** The signaling server saw this member's socket end. */
  gone(nodeId: NodeId): void {
    this.#gone.add(nodeId)
  }

  /** There is a sign of life, or nobody cares any more. */
  forget(nodeId: NodeId): void {
    this.#questions.delete(nodeId)
    this.#gone.delete(nodeId)
  }

  /** Asks about a member, unless it was asked about already. */
  ask(nodeId: NodeId, now: number): void {
    if (!this.#isUp) return
    if (!this.#questions.has(nodeId)) {
      this.#questions.set(nodeId, { askedAt: now, wordAt: undefined })
      this.#options.askMember(nodeId)
    }
    if (now - this.#serverAskedAt < PATIENCE_MS) return
    this.#serverAskedAt = now
    this.#options.askServer()
  }

  /** Whether the server called the member gone, or the member did not answer though the server did. */
  isLost(nodeId: NodeId, now: number): boolean {
    if (!this.#isUp) return false
    const { wordAt } = this.#questions.get(nodeId) ?? {}
    return this.#gone.has(nodeId) || (wordAt !== undefined && now - wordAt >= PATIENCE_MS)
  }

  /** Time in which this member did not attend counts for nothing. */
  shift(ms: number): void {
    for (const question of this.#questions.values()) {
      question.askedAt += ms
      if (question.wordAt !== undefined) question.wordAt += ms
    }
  }
}
