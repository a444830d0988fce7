/** Workers behind NATS: both ends. @module */

export type { KeyPair } from './platform/platform'
export { type NatsWorkers, natsWorkers } from './workers/machines/fleet'
export type { NatsOptions, ServeNatsOptions } from './workers/machines/options'
export { type NatsService, serveNats } from './workers/machines/serve'
export type {
  NatsConnection,
  NatsConnectOptions,
  NatsMessage,
  NatsServer,
  NatsSubscription,
} from './workers/nats/connection'
