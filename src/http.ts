/** Workers that are servers of the Open Inference Protocol, and how these servers are discovered. @module */

export { httpWorkers } from './workers/http/fleet'
export type { HttpOptions, ProbeOptions } from './workers/http/options'
export { httpWorker } from './workers/http/worker'
export { type DnsOptions, type WatchOptions, watchDns, watchFile } from './workers/remote/discovery'
export type { EndpointChange } from './workers/remote/endpoints'
