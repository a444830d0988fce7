/** Workers behind a NATS server: the gateway's end and the machine's end. @module */

export type { KeyPair } from './platform/platform'
export type { MachineChanges as NatsWorkers } from './workers/machines/fleet'
export type { MachineService as NatsService } from './workers/machines/machine'
export type { MachineOptions as ServeNatsOptions } from './workers/machines/options'
export type {
  NatsConnection,
  NatsConnectOptions,
  NatsMessage,
  NatsServer,
  NatsSubscription,
} from './workers/nats/connection'
export { type NatsOptions, natsWorkers } from './workers/nats/fleet'
export { serveNats } from './workers/nats/serve'
