/** Workers behind NATS: both ends. @module */

export type {
  NatsConnection,
  NatsConnectOptions,
  NatsMessage,
  NatsServer,
  NatsSubscription,
} from './workers/nats/connection'
export { natsWorkers } from './workers/nats/fleet'
export type { NatsOptions, ServeNatsOptions } from './workers/nats/options'
export { type NatsService, serveNats } from './workers/nats/serve'
