/** Workers behind NATS: both ends. @module */

export type { KeyPair } from './platform/platform'
export type {
  NatsConnection,
  NatsConnectOptions,
  NatsMessage,
  NatsServer,
  NatsSubscription,
} from './workers/nats/connection'
export { type NatsWorkers, natsWorkers } from './workers/nats/fleet'
export type { NatsOptions, ServeNatsOptions } from './workers/nats/options'
export { type NatsService, serveNats } from './workers/nats/serve'
