/** Questions of other members that are under way: is this one there? Asked by `probe`, answered by `probed`. */
import type { LinkId } from '../events.ts'
import type { NodeId } from '../identity/node-id.ts'

export interface Errand {
  /** The link over which it was asked. */
  readonly asker: LinkId
  readonly token: number
  readonly until: number
}

/** Questions under way at once about one member; more are not taken on. */
const MAX_ERRANDS = 64

export class Errands {
  readonly #bySubject = new Map<NodeId, Errand[]>()

  add(subject: NodeId, errand: Errand): void {
    const errands = this.#bySubject.get(subject)
    if (!errands) this.#bySubject.set(subject, [errand])
    else if (errands.length < MAX_ERRANDS) errands.push(errand)
  }

  /** What is to be answered about a member that gave a sign of life; nothing of it is under way any more. */
  take(subject: NodeId): readonly Errand[] {
    const errands = this.#bySubject.get(subject) ?? []
    this.#bySubject.delete(subject)
    return errands
  }

  tick(now: number): void {
    for (const [subject, errands] of this.#bySubject) {
      if (errands.every(({ until }) => until <= now)) this.#bySubject.delete(subject)
    }
  }
}
