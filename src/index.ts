/**
 * Coded inference for ONNX models: K queries are mixed into N coded queries, the same unmodified model
 * answers them on N workers, and the K answers are recovered from whichever come first.
 *
 * @module
 */

export type { Clock } from './clock'
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
export type { Criterion, CriterionOptions, LabelAxis, Labels, Tolerance } from './criterion'
export { ApproxiferError, type Code } from './errors'
export { createGateway, fileStore, type GatewayModel } from './gateway/create'
export type { Gateway, GatewayOptions, RequestEvent } from './gateway/gateway'
export type { Store } from './gateway/models'
export { type Features, Memory, type MemoryOptions, type Recollection } from './memory/memory'
export { type PatchOptions, patchFeatures } from './memory/patches'
export { type Agreement, type Policy, Worth, type WorthState } from './memory/worth'
export type { WorkerStats } from './pool/pool'
export { createPredictor, type PredictorOptions } from './predictor/create'
export type { PredictOptions } from './predictor/options'
export type { Predictor, PredictorStats } from './predictor/predictor'
export type { Rule } from './query/decision'
export type { GroupReport, RecoveryReport, RowReport } from './query/report'
export type { Choices, Deliver, Prediction, Status } from './query/ticket'
export { type Points, Scheme, type SchemeOptions } from './scheme'
export type { Query, Signature, Tensor, TensorSpec, Tensors } from './tensor'
export { type Faults, FaultyWorker } from './testing/faulty'
export type { Verdict } from './trust/verification'
export { httpWorkers } from './workers/http/fleet'
export type { HttpOptions, ProbeOptions } from './workers/http/options'
export { httpWorker } from './workers/http/worker'
export { type LocalOptions, localWorkers } from './workers/local/local'
export type {
  NatsConnection,
  NatsConnectOptions,
  NatsMessage,
  NatsServer,
  NatsSubscription,
} from './workers/nats/connection'
export { type NatsOptions, natsWorkers } from './workers/nats/fleet'
export { type NatsService, type ServeNatsOptions, serveNats } from './workers/nats/serve'
export type { OnnxOptions } from './workers/onnx/model'
export { type DnsOptions, type WatchOptions, watchDns, watchFile } from './workers/remote/discovery'
export type { EndpointChange } from './workers/remote/endpoints'
export type { Change, ModelWorker, WorkerChanges } from './workers/worker'
