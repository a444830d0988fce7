/**
 * Coded inference for ONNX models: K queries are mixed into N coded queries, the same unmodified model
 * answers them on N workers, and the K answers are recovered from whichever come first.
 *
 * @module
 */

export {
  Codec,
  type CodecOptions,
  type CodedRow,
  type Group,
  type Recovery,
  type Suspect,
} from './codec/codec'
export type { CodeName } from './codec/codes'
export type { DecoderName } from './codec/decoders'
export type { LocatorName } from './codec/locators'
export { type Core, type CoreOptions, loadCore } from './core/core'
export { createPredictor, type PredictorOptions } from './create'
export { createGateway, fileStore, type GatewayModel } from './create-gateway'
export type { Criterion, CriterionOptions, LabelAxis, Labels, Tolerance } from './criterion'
export { ApproxiferError, type Code } from './errors'
export { type Features, Memory, type MemoryOptions, type Recollection } from './history/memory'
export { type PatchOptions, patchFeatures } from './history/patches'
export { type Agreement, type Policy, Worth, type WorthState } from './history/worth'
export { type Points, Scheme, type SchemeOptions } from './scheme'
export type { Clock } from './serving/clock'
export type { Rule } from './serving/decision'
export type { Gateway, GatewayOptions, RequestEvent } from './serving/gateway'
export type { Store } from './serving/models'
export type { PredictOptions } from './serving/options'
export type { WorkerStats } from './serving/pool'
export type { Predictor, PredictorStats } from './serving/predictor'
export type { GroupReport, RecoveryReport, RowReport } from './serving/report'
export type { Choices, Deliver, Prediction, Status } from './serving/ticket'
export type { Verdict } from './serving/verification'
export type { Query, Signature, Tensor, TensorSpec, Tensors } from './tensor'
export { type DnsOptions, type WatchOptions, type Whereabouts, watchDns, watchFile } from './workers/discovery'
export { type Faults, FaultyWorker } from './workers/faulty'
export { type HttpOptions, httpWorker, type ProbeOptions } from './workers/http'
export { httpWorkers } from './workers/http-fleet'
export { type LocalOptions, localWorkers } from './workers/local'
export { type NatsOptions, natsWorkers } from './workers/nats'
export type {
  NatsConnection,
  NatsConnectOptions,
  NatsMessage,
  NatsServer,
  NatsSubscription,
} from './workers/nats/connection'
export { type NatsService, type ServeNatsOptions, serveNats } from './workers/nats/serve'
export type { OnnxOptions } from './workers/onnx'
export type { Change, ModelWorker, WorkerChanges } from './workers/worker'
