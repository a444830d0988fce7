// A project with neither the DOM's types nor Node's.
import 'approxifer/worker'
import {
  ApproxiferError,
  createPredictor,
  type LocalOptions,
  localWorkers,
  type ModelWorker,
  type Prediction,
  type PredictOptions,
  type Predictor,
  type PredictorOptions,
  type Query,
  type TensorList,
} from 'approxifer'
import { Codec, loadCore, Memory, patchFeatures, Scheme } from 'approxifer/codec'
import core from 'approxifer/core.wasm'
import { createGateway, type Gateway, type GatewayModel } from 'approxifer/gateway'
import { httpWorkers } from 'approxifer/http'
import { natsWorkers } from 'approxifer/nats'
import { FaultyWorker } from 'approxifer/testing'

/** exactOptionalPropertyTypes: what may be missing may be undefined. */
export const options: PredictorOptions = {
  model: new Uint8Array(),
  scheme: { queries: 4, stragglers: undefined, preset: undefined },
  policy: undefined,
  minConfidence: undefined,
  onnx: { createWorker: undefined },
  onWarning: undefined,
  memory: undefined,
  testing: { core: { module: core, prefer: undefined } },
}
export const choices: PredictOptions = { signal: undefined, deadlineMs: undefined }
/** A query's tensors, also as onnxruntime has them. */
export const query: Query = { x: { data: new Float32Array(4), dims: [1, 4] }, y: new Float32Array(1) }
export const local: LocalOptions = { model: 'model.onnx', workers: 2, outputs: undefined, wasmPaths: undefined }

export async function ask(predictor: Predictor, row: Float32Array): Promise<number | undefined> {
  const prediction: Prediction = await predictor.predict(row, choices)
  const { recovery, confidence, workers } = prediction
  for (const worker of workers) console.log(worker)
  if (recovery) console.log(recovery.why)
  await predictor[Symbol.asyncDispose]()
  return confidence
}

export class Echo implements ModelWorker {
  readonly name = 'echo'
  readonly signature = { inputs: [{ name: 'x', shape: [1] }], outputs: [{ name: 'y', shape: [1] }] }
  readonly free = true
  onFree: (() => void) | undefined
  async infer(query: TensorList): Promise<TensorList> {
    return query.map(({ data, shape }) => ({ data: data.slice(), shape }))
  }
  restart(): void {}
  async close(): Promise<void> {}
}

export async function all(): Promise<unknown> {
  const wasm = await loadCore()
  const codec = await Codec.create({ queries: 2, stragglers: 1 })
  const memory = new Memory(wasm, { shape: [1, 28, 28], outputs: 10 })
  const features = patchFeatures(wasm, { shape: [1, 28, 28], samples: [] })
  const workers = [new FaultyWorker(new Echo(), { delayMs: undefined }, 1), ...(await localWorkers(local))]
  const error = new ApproxiferError('MODEL', 'none', { cause: undefined })
  return [await createPredictor({ ...options, workers }), codec, memory, features, error, new Scheme({ queries: 2 })]
}

/** What one entry makes another takes: they share their types. */
export function serve(url: string): Gateway<GatewayModel> {
  const http = { workers: httpWorkers([url], { model: 'm' }) }
  const nats = { workers: natsWorkers(url, { fleet: 'f', model: 'm' }), policy: undefined }
  return createGateway({ models: { http, nats } })
}

declare const console: { log(text: unknown): void }
