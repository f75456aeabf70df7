/** The kinds of grains that a process hosts, as they are given, and as the core and the other members know them. */
import type { HostedKind } from '../core/grain/grain-outputs.ts'
import { formatKind } from '../core/published-kinds.ts'
import { isGrainKind } from '../grains/define.ts'
import type { GrainKind } from '../grains/types.ts'

const MAX_KINDS = 32
/** A member publishes them as one of its values, which has 1 KiB. */
const MAX_PUBLISHED_BYTES = 900

/** One sentence for each thing that is wrong with the option `grains`. */
export function kindProblems(given: unknown): string[] {
  if (given === undefined) return []
  if (!Array.isArray(given)) return ['grains must be a list of kinds']
  const problems: string[] = []
  if (given.length > MAX_KINDS)
    problems.push(`grains has ${given.length} kinds, at most ${MAX_KINDS} are allowed`)
  const names = new Set<string>()
  let bytes = 0
  for (const [i, kind] of given.entries()) {
    if (!isGrainKind(kind)) {
      problems.push(`grains[${i}] is no kind: use what defineGrain returns`)
      continue
    }
    if (names.has(kind.name)) problems.push(`grains has the kind "${kind.name}" twice`)
    names.add(kind.name)
    bytes += `${formatKind(kind.name, kind.options)} `.length
  }
  if (bytes > MAX_PUBLISHED_BYTES) {
    const advice = 'use shorter names, or fewer kinds'
    problems.push(
      `the names and versions of grains have ${bytes} bytes together, at most ${MAX_PUBLISHED_BYTES} can be published: ${advice}`,
    )
  }
  return problems
}

/** What the core has to know of them. */
export function hostedKinds(kinds: readonly GrainKind[]): ReadonlyMap<string, HostedKind> {
  return new Map(
    kinds.map(({ name, options }) => {
      const { version, accepts, concurrency, queueDepth, queue, reentrant, idleMs, persist } = options
      const tuning = { concurrency, queueDepth, queuePolicy: queue, reentrant, idleMs, persist }
      return [name, { version, accepts, ...tuning }]
    }),
  )
}
