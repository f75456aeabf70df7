/** Timings and sizes of the protocol. Every one is optional; times in ms, sizes in bytes. */
export interface Tuning {
  /** Changes are gathered this long before they are forwarded. Short enough not to be felt. */
  readonly gossipDebounceMs: number
  /**
   * A status frame goes to every link this often (jittered by a quarter). memberlist pushes 5 times a second to 3
   * members; links here are reliable, so status only has to find what a closing link lost.
   */
  readonly statusIntervalMs: number
  /** A mismatch of hashes must outlive this many quiet status periods before digests are compared. */
  readonly quietPeriods: number
  /** An attempt at a link is given up after this long without a channel, and this long with one without a handshake. */
  readonly linkTimeoutMs: number
  /**
   * A lost link is dialled again within this time. After the n-th failed attempt the pause is half to all of this
   * times 2^n, up to `redialMaxMs`.
   */
  readonly redialMinMs: number
  readonly redialMaxMs: number
  /** Attempts at links under way at once. Chromium gathers ICE slowly when many start together. */
  readonly maxDials: number
  /** A link that brought no evidence of life for this long is probed, by either end. */
  readonly probeIntervalMs: number
  /** An ack is awaited this long, or three round trips where those are longer, times the local health. */
  readonly probeTimeoutMs: number
  /** How long a suspect has to refute: this long with several independent observers, ... */
  readonly suspicionMinMs: number
  /** ... and this long with one (Lifeguard). */
  readonly suspicionMaxMs: number
  /** So many observers must agree on `unreachable`, where so many exist. 1 is plain SWIM. */
  readonly minObservers: number
  /**
   * How far a member that has reason to doubt itself stretches its timeouts: up to this many times their length more
   * (Lifeguard's local health; memberlist's `AwarenessMaxMultiplier`). 0 turns it off.
   */
  readonly maxLocalHealth: number
  /**
   * A wake-up this much later than asked for was not attended time: nobody else is accused for it. Above the second to
   * which browsers align the timers of hidden tabs. Longer than any pause turns it off.
   */
  readonly lateMs: number
  /** A member unreachable this long is removed, by the side that still sees most of the members. */
  readonly removeAfterMs: number
  /** A removed life is remembered in full this long; after that only its generation is. */
  readonly tombstoneMs: number
  /** The whole room asks the signaling server for contacts about this often, to find and heal partitions. */
  readonly healIntervalMs: number
  /** A leaving member waits this long for its goodbye to be received. */
  readonly leaveTimeoutMs: number
}

/** Bounds on what a member accepts. Everything over them is refused with an event. */
export interface Limits {
  /** Records in the membership table, tombstones included. */
  readonly members: number
  /** Bytes of JSON in `meta` and in one peer state value. */
  readonly valueBytes: number
  /** Peer state keys of one member. */
  readonly peerStateKeys: number
  /** Messages, and bytes of them, that wait for one authority while there is no way to it. */
  readonly queueMessages: number
  readonly queueBytes: number
  /** Bytes of messages to one authority without an outcome, while there is a way to it. */
  readonly sendBytes: number
  /** Bytes of one member's messages in one lane that may be under way or wait to be handled; 256 KiB at least. */
  readonly windowBytes: number
  /** Bytes of one message. */
  readonly messageBytes: number
  /** Bytes of messages of all members that were not handled: above it, nobody is given more room. */
  readonly receiveBytes: number
}

export const DEFAULT_TUNING: Tuning = {
  gossipDebounceMs: 5,
  statusIntervalMs: 2_000,
  quietPeriods: 2,
  linkTimeoutMs: 10_000,
  redialMinMs: 500,
  redialMaxMs: 15_000,
  maxDials: 8,
  probeIntervalMs: 1_000,
  probeTimeoutMs: 500,
  suspicionMinMs: 1_000,
  suspicionMaxMs: 5_000,
  minObservers: 2,
  maxLocalHealth: 8,
  lateMs: 1_500,
  removeAfterMs: 60_000,
  tombstoneMs: 600_000,
  healIntervalMs: 10_000,
  leaveTimeoutMs: 500,
}

const MIB = 1024 * 1024

export const DEFAULT_LIMITS: Limits = {
  members: 4_096,
  valueBytes: 1_024,
  peerStateKeys: 32,
  queueMessages: 256,
  queueBytes: MIB,
  sendBytes: 16 * MIB,
  windowBytes: MIB,
  messageBytes: 16 * MIB,
  receiveBytes: 64 * MIB,
}
