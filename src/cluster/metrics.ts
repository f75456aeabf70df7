/**
 * What a membership measures of itself: which metrics there are, and which event counts for which. docs/metrics.md
 * describes each; a test holds the two together.
 */
import type { ClusterEvent, Link, Member, Metrics, MetricsSnapshot, NodeStatus } from '../api.ts'
import type { DeadLetterReason } from '../core/events.ts'
import { prometheusComment, prometheusText } from '../core/metrics/prometheus.ts'
import { Registry } from '../core/metrics/registry.ts'
import { REFUSALS } from '../core/wire/kinds.ts'
import type { Traffic } from '../driver/driver.ts'
import type { Clock } from '../ports.ts'
import type { SlowCalls } from './call-alerts.ts'
import { CallAlerts } from './call-alerts.ts'
import type { EndedCall } from './grain-calls.ts'
import type { GrainSources } from './grain-metrics.ts'
import { createGrainMeters, SECONDS } from './grain-metrics.ts'
import type { WrittenSnapshot } from './snapshot-keeper.ts'

export interface MetricsOptions {
  readonly isOn: boolean
  readonly clock: Clock
  readonly sources: MetricSources
  /** Where calls of a kind are slow, in ms, see the event `slow-calls`. */
  readonly callAlertMs: number
  readonly onSlowCalls: (slow: SlowCalls) => void
}

/** What is read whenever the metrics are. */
export interface MetricSources {
  readonly traffic: Readonly<Traffic>
  readonly members: () => readonly Member[]
  readonly links: () => readonly Link[]
  /** What waits for each link, in bytes. */
  readonly bufferedBytes: () => readonly number[]
  readonly grains: GrainSources
}

/** What each type of event counts for. */
export type Feeds = {
  readonly [K in ClusterEvent['type']]: Feed<K> | 'not measured'
}
type Feed<K extends ClusterEvent['type']> = (event: Extract<ClusterEvent, { type: K }>) => void

/** The ways in which a registry is fed. */
export interface Meters {
  readonly feeds: Feeds
  /** A snapshot was written, or could not be. */
  readonly snapshotWritten: (written: WrittenSnapshot | undefined) => void
  /** A call of this process to a grain has ended. */
  readonly callEnded: (call: EndedCall) => void
}

const OFF = 'metrics are off: this process joined with the option `metrics: false`'
const TABLES = ['full', 'delta', 'none'] as const
const DEAD_REASONS: readonly DeadLetterReason[] = [
  'life-ended',
  'forgotten',
  'dropped',
  'aborted',
  'left',
  'no-receiver',
]
const STATUSES: readonly Exclude<NodeStatus, 'removed'>[] = ['joining', 'up', 'leaving', 'unreachable']
/** From one record to the largest table that a snapshot holds. */
const BYTES = [256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576]

export class ClusterMetrics implements Metrics {
  readonly #clock: Clock
  readonly #registry = new Registry('grainmesh_')
  readonly #meters: Meters | undefined
  readonly #alerts: CallAlerts

  constructor({ isOn, clock, sources, callAlertMs, onSlowCalls }: MetricsOptions) {
    this.#alerts = new CallAlerts(callAlertMs, onSlowCalls)
    this.#clock = clock
    this.#meters = isOn ? createMeters(this.#registry, sources) : undefined
  }

  readonly snapshot = (): MetricsSnapshot =>
    Object.freeze({
      at: this.#clock.now().wall,
      ...(this.#meters ? {} : { diagnostic: OFF }),
      families: this.#registry.families(),
    })

  readonly prometheus = (): string =>
    this.#meters ? prometheusText(this.#registry.families()) : prometheusComment(OFF)

  notice(event: ClusterEvent): void {
    const feed = this.#meters?.feeds[event.type] as Feed<ClusterEvent['type']> | 'not measured' | undefined
    if (typeof feed === 'function') feed(event)
  }

  snapshotWritten(written: WrittenSnapshot | undefined): void {
    this.#meters?.snapshotWritten(written)
  }

  callEnded(call: EndedCall): void {
    this.#meters?.callEnded(call)
    if (this.#meters) this.#alerts.ended(call.kind, call.ms, this.#clock.now().mono)
  }
}

/** Makes all metrics of one membership. */
export function createMeters(registry: Registry, sources: MetricSources): Meters {
  const { traffic, members, links, bufferedBytes } = sources
  const joins = registry.counters(
    'joins_total',
    'Lives of this process that came up, by what was transferred of the member table for it.',
    'table',
    TABLES,
  )
  const joinSeconds = registry.histograms(
    'join_duration_seconds',
    'From the start of a life until it was up and its view confirmed.',
    SECONDS,
    'table',
    TABLES,
  )
  const joinTableBytes = registry.histogram(
    'join_table_bytes',
    'Bytes of member table received for a join, full or delta.',
    BYTES,
  )
  const rebirths = registry.counter('rebirths_total', 'Times this process went on as another life.')

  const countOf = (status: NodeStatus) => members().filter((member) => member.status === status).length
  registry.gauges('members', 'Members, this one included, by status.', 'status', STATUSES, countOf)
  const unreachable = registry.counter('unreachable_total', 'Times a member became unreachable.')
  const recoveries = registry.counter('recoveries_total', 'Times an unreachable member was up again.')
  const removals = registry.counter('removals_total', 'Lives that were removed: left, lost or superseded.')
  const superseded = registry.counter('superseded_total', 'Lives that gave way to a newer one.')
  const conflicts = registry.counter(
    'authority_conflicts_total',
    'Times two lives of one authority ran at once.',
  )
  const isolations = registry.counter('isolations_total', 'Times this process lost every link.')

  const convergence = registry.histogram(
    'convergence_seconds',
    "From a change of this member's view until that was confirmed.",
    SECONDS,
  )
  const gaps = registry.counter(
    'gaps_total',
    'Deltas that began too late, so that a missing range was asked for.',
  )

  registry.gauge('links', 'Established links.', () => links().length)
  registry.gauges(
    'link_rtt_seconds',
    'Smoothed round-trip times of the links that were measured.',
    'of',
    ['median', 'max'],
    (of) => rttOf(links(), of),
  )
  const linkSetup = registry.histogram(
    'link_setup_seconds',
    'From the start of the attempt at a link until both ends had accepted.',
    SECONDS,
  )
  const linksClosed = registry.counter('links_closed_total', 'Established links that ended.')
  const linkFailures = registry.counter('link_failures_total', 'Attempts at a link that came to nothing.')
  const refusals = registry.counters(
    'handshakes_refused_total',
    'Handshakes that ended with a refusal, from either side.',
    'code',
    REFUSALS,
  )
  registry.counterOf('messages_sent_total', 'Messages handed to links.', () => traffic.messagesSent)
  registry.counterOf('messages_received_total', 'Messages from links.', () => traffic.messagesReceived)
  registry.counterOf('bytes_sent_total', 'Bytes handed to links.', () => traffic.bytesSent)
  registry.counterOf('bytes_received_total', 'Bytes from links.', () => traffic.bytesReceived)
  registry.gauges(
    'link_buffered_bytes',
    'Bytes that wait to be sent: in all links together, and in the link that has most.',
    'of',
    ['all', 'max'],
    (of) => bufferedBytes().reduce((sum, bytes) => (of === 'all' ? sum + bytes : Math.max(sum, bytes)), 0),
  )
  registry.counterOf(
    'link_queue_dropped_total',
    'Messages that came to a full queue of their link, and were not sent.',
    () => traffic.messagesDropped,
  )
  const rejected = registry.counter('frames_rejected_total', 'Messages that were not valid, and not used.')

  const deadLetters = registry.counters(
    'dead_letters_total',
    'Messages of users that did not arrive, or may not have.',
    'reason',
    DEAD_REASONS,
  )
  const sendsAborted = registry.counter(
    'sends_aborted_total',
    'Messages that were not accepted because they cannot be carried.',
  )
  const quarantines = registry.counter('quarantines_total', 'Times an authority was shut out for a while.')

  let isSignalingUp = false
  registry.gauge('signaling_up', 'Whether the signaling server is connected: 1 or 0.', () =>
    isSignalingUp ? 1 : 0,
  )
  const disconnects = registry.counter('signaling_disconnects_total', 'Times the signaling server was lost.')

  const writeSeconds = registry.histogram(
    'snapshot_write_seconds',
    "Snapshot writes, from packing the table to the store's answer.",
    SECONDS,
  )
  const writtenBytes = registry.counter('snapshot_written_bytes_total', 'Bytes of packed table written.')
  const writeFailures = registry.counter('snapshot_write_failures_total', 'Snapshot writes that failed.')
  const losses = registry.counters(
    'storage_losses_total',
    'Times something kept for this process was lost, dropped or could not be kept.',
    'what',
    ['identity', 'snapshot', 'grains'],
  )

  const grains = createGrainMeters(registry, sources.grains)

  /** The same view may be confirmed again; it is measured once. */
  let confirmed = { viewHash: '', durationMs: -1 }

  const feeds: Feeds = {
    status({ to }) {
      if (to === 'isolated') isolations.add()
      // Whoever goes, or goes on as another life, has ended its session with the signaling server.
      else if (to !== 'up') isSignalingUp = false
    },
    'member-status'({ from, to }) {
      // Of a life that this process had not heard of it only learns what is so already.
      if (from === undefined) return
      if (to === 'unreachable') unreachable.add()
      else if (to === 'removed') removals.add()
      else if (to === 'up' && from === 'unreachable') recoveries.add()
    },
    'member-meta': 'not measured',
    'member-visibility': 'not measured',
    'peer-state': 'not measured',
    superseded: () => superseded.add(),
    'authority-conflict': () => conflicts.add(),
    convergence({ viewHash, durationMs }) {
      if (durationMs === undefined) return
      if (viewHash === confirmed.viewHash && durationMs === confirmed.durationMs) return
      confirmed = { viewHash, durationMs }
      convergence.observe(durationMs / 1_000)
    },
    joined({ table, durationMs, tableBytes }) {
      joins[table].add()
      joinSeconds[table].observe(durationMs / 1_000)
      if (table !== 'none') joinTableBytes.observe(tableBytes)
    },
    'link-opened': ({ durationMs }) => linkSetup.observe(durationMs / 1_000),
    'link-closed': () => linksClosed.add(),
    'link-failed': () => linkFailures.add(),
    'handshake-refused': ({ code }) => refusals[code].add(),
    gap: () => gaps.add(),
    'frame-rejected': () => rejected.add(),
    signaling({ state }) {
      // An outage at the start ends no connection.
      if (state === 'down' && isSignalingUp) disconnects.add()
      isSignalingUp = state === 'up'
    },
    reborn() {
      rebirths.add()
      isSignalingUp = false
    },
    association({ to }) {
      if (to === 'quarantined') quarantines.add()
    },
    'dead-letter': ({ reason }) => deadLetters[reason].add(),
    drained: 'not measured',
    'send-aborted': () => sendsAborted.add(),
    storage: ({ what }) => losses[what].add(),
    ...grains.feeds,
  }

  return {
    feeds,
    snapshotWritten(written) {
      if (!written) return writeFailures.add()
      writeSeconds.observe(written.durationMs / 1_000)
      writtenBytes.add(written.bytes)
    },
    callEnded: grains.callEnded,
  }
}

/** In seconds; `undefined` while nothing was measured. Of an even number the median is the lower of the middle two. */
function rttOf(links: readonly Link[], of: 'median' | 'max'): number | undefined {
  const rtts = links.flatMap(({ rttMs }) => (rttMs === undefined ? [] : [rttMs])).sort((a, b) => a - b)
  const rtt = rtts[of === 'max' ? rtts.length - 1 : (rtts.length - 1) >> 1]
  return rtt === undefined ? undefined : rtt / 1_000
}
