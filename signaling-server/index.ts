/** Public names of the signaling server. */
export { createSignalingServer } from './server.ts'
export type { SignalingHealth, SignalingServer, SignalingServerOptions } from './server.ts'
export type { Authenticate, AuthenticationRequest } from './authenticate.ts'
export { DEFAULT_SIGNALING_LIMITS } from './limits.ts'
export type { Rate, SignalingLimits } from './limits.ts'
export type { Counts as SignalingCounts } from './counts.ts'
