/** Workers behind NATS: both ends. @module */

export type {
  NatsConnection,
  NatsConnectOptions,
  NatsMessage,
  NatsServer,
  NatsSubscription,
} from './workers/nats/connection'
export { type NatsOptions, natsWorkers } from './workers/nats/fleet'
export { type NatsService, type ServeNatsOptions, serveNats } from './workers/nats/serve'
