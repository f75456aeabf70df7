/** What a membership measures of grains: of those that it hosts, and of the calls that it makes to any. */
import type { ClusterEvent } from '../api.ts'
import type { DeactivationReason } from '../core/events.ts'
import type { Registry } from '../core/metrics/registry.ts'
import type { EndedCall } from './grain-calls.ts'

/** The same of grains: of this process, now. */
export interface GrainSources {
  /** Kinds that it hosts. */
  readonly kinds: readonly string[]
  readonly active: (kind: string) => number
  readonly waiting: (kind: string) => number
  readonly unstored: () => number
  readonly heldBytes: () => number
}

type GrainEvent =
  | 'council'
  | 'slow-calls'
  | `state-${'conflict' | 'dropped' | 'provisional'}`
  | `grain-${'activated' | 'deactivated' | 'stuck' | 'threw' | 'moved'}`

export interface GrainMeters {
  readonly feeds: {
    readonly [K in GrainEvent]: ((event: Extract<ClusterEvent, { type: K }>) => void) | 'not measured'
  }
  readonly callEnded: (call: EndedCall) => void
}

/** From a snapshot write to a link that takes its whole time, and the repair of a parted cluster. */
export const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const REASONS: readonly DeactivationReason[] = ['idle', 'moved', 'right-lost', 'renewed', 'failed']

export function createGrainMeters(registry: Registry, sources: GrainSources): GrainMeters {
  const { kinds, active, waiting, unstored, heldBytes } = sources
  const calls = registry.countersBy(
    'grain_calls_total',
    'Calls of this process to grains that have ended, by how.',
    ['kind', 'method', 'outcome'],
    2,
  )
  const callSeconds = registry.histogramsBy(
    'grain_call_duration_seconds',
    'From a call of this process until it had ended, retries included.',
    SECONDS,
    ['kind', 'method'],
  )
  const retries = registry.countersBy(
    'grain_call_retries_total',
    'Times that a call of this process was sent once more.',
    ['kind', 'method'],
    2,
  )

  registry.gauges('grain_activations', 'Grains that are active here, by kind.', 'kind', kinds, active)
  registry.gauges('grain_queue', 'Calls that wait for their turn here, by kind.', 'kind', kinds, waiting)
  const activated = registry.counter('grain_activations_total', 'Grains that became active here.')
  const deactivated = registry.counters(
    'grain_deactivations_total',
    'Grains that left memory here.',
    'reason',
    REASONS,
  )
  const stuck = registry.counter('grain_stuck_total', 'Handlers that had not ended after 30 s.')

  const moves = registry.counter('grain_moves_total', 'Partitions that got another owner, anywhere.')
  const conflicts = registry.counter(
    'grain_conflicts_total',
    'States that two sides of a partition had changed, and that were not merged.',
  )
  const dropped = registry.counter(
    'grain_dropped_partitions_total',
    'Partitions of a council that was given up that there was no room to keep.',
  )
  const councils = registry.counters(
    'council_changes_total',
    'Times the council began here, went on here by force, or was given up for another.',
    'change',
    ['founded', 'continued', 'followed'],
  )
  const provisional = registry.counter(
    'grain_provisional_total',
    'Partitions that were restored here from disk without all that were in sync.',
  )
  registry.gauge(
    'grain_unstored_changes',
    'Changes of partitions owned here that are not known to be stored by all that are in sync.',
    unstored,
  )
  registry.gauge('grain_held_bytes', 'Bytes of state and of call records that this process holds.', heldBytes)

  return {
    feeds: {
      'grain-activated': ({ count }) => activated.add(count),
      'grain-deactivated': ({ reason, count }) => deactivated[reason].add(count),
      'grain-stuck': ({ count }) => stuck.add(count),
      'grain-threw': 'not measured',
      'grain-moved': ({ count }) => moves.add(count),
      council: ({ change }) => councils[change].add(),
      'state-conflict': () => conflicts.add(),
      'state-dropped': ({ count }) => dropped.add(count),
      'slow-calls': 'not measured',
      'state-provisional': ({ count }) => provisional.add(count),
    },
    callEnded({ kind, method, outcome, attempts, ms }) {
      calls.of(kind, method, outcome).add()
      callSeconds.of(kind, method).observe(ms / 1_000)
      if (attempts > 1) retries.of(kind, method).add(attempts - 1)
    },
  }
}
