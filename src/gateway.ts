/** An inference server by the Open Inference Protocol, as a function from `Request` to `Response`. @module */

export { createGateway, fileStore, type GatewayModel } from './gateway/create'
export { type DurableStorage, durableStore } from './gateway/durable-store'
export type { RequestEvent } from './gateway/event'
export type { Gateway, GatewayOptions } from './gateway/gateway'
export type { Principal } from './gateway/principal'
export type { Store } from './gateway/store'
export type { TextOptions } from './gateway/text/options'
