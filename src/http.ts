/** Workers that are servers of the Open Inference Protocol, and how they are found. @module */

export { httpWorkers } from './workers/http/fleet'
export { type HttpOptions, httpWorker, type ProbeOptions } from './workers/http/worker'
export { type DnsOptions, type WatchOptions, type Whereabouts, watchDns, watchFile } from './workers/remote/discovery'
