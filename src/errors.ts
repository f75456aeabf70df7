/** Every way in which a call into Grainmesh can fail. The docstring says what to do about each. */
export type ClusterErrorCode =
  /** One or more options are missing or wrong; `problems` names each. Nothing was started. */
  | 'invalid-option'
  /** No signaling server could be reached in time. Check the URL, that the server runs, and its Origin list. */
  | 'signaling-unreachable'
  /** The signaling server or every contact refused this process; the message carries their reason. */
  | 'refused'
  /** Another life of this authority is in the cluster, and the platform's identity store gives no other authority. */
  | 'authority-conflict'
  /** No wire version is shared with the cluster: reload the page, or deploy matching versions. */
  | 'schema-mismatch'
  /**
   * Contacts were found but none accepted in `joinTimeoutMs`; often UDP is blocked: configure `iceServers`. Or a store of
   * the platform did not answer; the message says which.
   */
  | 'join-timeout'
  /** `signal` was aborted, or `leave()` was called before the join was done. */
  | 'aborted'
  /** The cluster object was used after `leave()`. */
  | 'left'
  /** There is no way to the member, or no answer from it. */
  | 'unreachable'
  /** Too many messages wait for the member, or calls for the grain: wait for earlier ones, or raise limits. */
  | 'queue-full'
  /** The member broke the rules and is shut out for a while; see `cluster.release`. */
  | 'quarantined'
  /** Nothing is known of the member a message is for. */
  | 'unknown-member'
  /** The other side has no listener for the mailbox. */
  | 'no-receiver'
  /** The message did not arrive, or nobody knows whether it did; the message says why. */
  | 'dead-letter'
  /** This platform has no WebRTC. Pass `platform.transport`. */
  | 'webrtc-unavailable'
  /** No link can go through the signaling server: it relays nothing, or this platform has no WebCrypto. */
  | 'relay-unavailable'
  /** A value cannot be carried: not JSON. Or a call was given what it does not take, as a key that is not allowed. */
  | 'invalid-value'
  /** A value is over its limit; the message has the size and the limit, in bytes. */
  | 'too-large'
  /** No member hosts this kind of grain, nor did one when it was last called from here. Give its definition to `grains` in some tab, or correct the name. */
  | 'unknown-kind'
  /** The kind has no such method where it is hosted: old and new code meet. Raise `version`, or reload the older tab. */
  | 'unknown-method'
  /**
   * Whoever hosts the grain, or the kind at all, has another version than the caller, and neither accepts the other's:
   * reload the older tab, or widen `accepts`. It was not sent.
   */
  | 'version-mismatch'
  /** The arguments do not fit the method's schemas; `issues` names each. The handler did not run. */
  | 'invalid-arguments'
  /** The result does not fit the method's schema, or cannot be carried. The handler's changes were undone. */
  | 'invalid-result'
  /** The handler threw. `cause` has its error's name, message and data. Its changes were undone. */
  | 'grain-threw'
  /** There was no answer within `deadlineMs`. If `mayHaveRun`, look before calling again. */
  | 'deadline'
  /** The call is part of a chain that waits for it: call another key, or make the kind `reentrant`. */
  | 'deadlock'
  /** More than 16 grains wait for each other in a row. Return first, then call the next one. */
  | 'chain-too-long'
  /** The setup or `onActivate` of the grain threw, or took too long. `cause` has what it threw; nothing ran. */
  | 'activation-failed'
  /** It ran and took effect, and its result was not kept until a retry asked for it. Read the state instead. */
  | 'outcome-lost'
  /** This retry came after its call was given up. Nothing to do: nothing ran now. */
  | 'call-too-old'
  /** All holders of this key's state are gone. Wait for one to return, or give `onLost: 'initial'` to `self.state`. */
  | 'state-missing'
  /** The state is over its size limit. What was stored before is unharmed: keep less, or spread it over more keys. */
  | 'state-limit'
  /** A state was used in a way that it would not be replicated in; the message says how to change it. */
  | 'invalid-state'
  /** Until its deadline nobody could say who hosts the grain: there is no council yet, or too few members. Call again. */
  | 'no-council'

export interface ClusterErrorDetails {
  readonly cause?: unknown
  /** With `invalid-option`: one sentence for each option that is missing or wrong. */
  readonly problems?: readonly string[]
  /** With an error of a call: the kind, the key and the method that were called. */
  readonly kind?: string
  readonly key?: string
  readonly method?: string
  /** With an error of a call: how often it was sent. Default 0. */
  readonly attempts?: number
  /** With an error of a call: whether its handler may have run, wholly or in part. Default `false`. */
  readonly mayHaveRun?: boolean
  /** With `invalid-arguments` and `invalid-result`: what the schemas found. */
  readonly issues?: readonly Issue[]
}

/** One thing that a schema found wrong. */
export interface Issue {
  readonly message: string
  /** Where: `args[0].owner` */
  readonly path: string
}

/** The one error class of Grainmesh. `code` is stable; the message says what happened and what to do. */
export class ClusterError extends Error {
  override readonly name = 'ClusterError'
  readonly code: ClusterErrorCode
  readonly problems: readonly string[]
  readonly kind: string | undefined
  readonly key: string | undefined
  readonly method: string | undefined
  readonly attempts: number
  readonly mayHaveRun: boolean
  readonly issues: readonly Issue[]

  constructor(code: ClusterErrorCode, message: string, details: ClusterErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.problems = details.problems ?? []
    this.kind = details.kind
    this.key = details.key
    this.method = details.method
    this.attempts = details.attempts ?? 0
    this.mayHaveRun = details.mayHaveRun ?? false
    this.issues = details.issues ?? []
  }
}
