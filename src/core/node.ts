import type { Input, Output } from './events.ts'
import type { Now } from './time.ts'

/** The shape of every machine in the core, and of the core itself. */
export interface Machine {
  handle(input: Input, now: Now): Output[]
  nextDeadline(): number | undefined
}
