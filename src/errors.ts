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
  /** Contacts were found but none accepted in `joinTimeoutMs`; often UDP is blocked: configure `iceServers`. */
  | 'join-timeout'
  /** `signal` was aborted, or `leave()` was called before the join was done. */
  | 'aborted'
  /** The cluster object was used after `leave()`. */
  | 'left'
  /** There is no way to the member, or no answer from it. */
  | 'unreachable'
  /** Too many messages wait for the member: wait for earlier ones, or raise `limits`. */
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
  /** A value cannot be carried: not JSON, or a key that is not allowed. */
  | 'invalid-value'
  /** A value is over its limit; the message has the size and the limit, in bytes. */
  | 'too-large'

export interface ClusterErrorDetails {
  readonly cause?: unknown
  /** With `invalid-option`: one sentence for each option that is missing or wrong. */
  readonly problems?: readonly string[]
}

/** The one error class of Grainmesh. `code` is stable; the message says what happened and what to do. */
export class ClusterError extends Error {
  override readonly name = 'ClusterError'
  readonly code: ClusterErrorCode
  readonly problems: readonly string[]

  constructor(code: ClusterErrorCode, message: string, details: ClusterErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.problems = details.problems ?? []
  }
}
