/** Grainmesh: the open tabs of a web app as one cluster. */
export { joinCluster, openCluster } from './cluster.ts'
export { ClusterError } from './errors.ts'
export type { ClusterErrorCode } from './errors.ts'
export { DEFAULT_LIMITS, DEFAULT_TUNING } from './options.ts'
export type { AbortSignalLike, ClusterOptions, IceServer, Limits, Tuning } from './options.ts'
export type * from './api.ts'
export type * from './ports.ts'
