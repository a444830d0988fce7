/** One ModelWorker is one failure domain: it runs the model, and may be slow, dead or lying. */

import { checkFunction, checkInteger, checkLengths, checkString, checkWord, expected } from '../base/check'
import { elementTypes, isHeldAs } from '../base/element'
import type { OutputHints } from '../base/output-kind'
import type { Probed } from '../base/saved'
import type { AnyTensor, Signature, TensorList, TensorSpec } from '../base/tensor'
import { isOpen, isShapeOf, isVector, shownShape, size } from '../base/tensor'
import type { SequenceAxes } from './sequence'

/** Bytes from which on shared memory gains anything. */
export const LARGE = 2 ** 15

/**
 * The contract, held by one test suite for every kind of worker:
 *
 * 1. `infer` always settles: if the worker exits, throws or answers garbage, its open calls reject.
 * 2. An abort rejects at once; the answer that still comes is dropped and harms nothing.
 * 3. A failed call does not affect the next one. A worker that says that it is busy has not failed: it rejects with OVERLOADED what it does not
 *    begin with, and `retryMs` of that error is for how long it wants to be left alone, where it knows. The row goes elsewhere or waits,
 *    nobody is blamed, and the worker gets nothing for a while, whatever `free` says.
 * 4. Calls beyond its slots reject at once, with OVERLOADED.
 * 5. The caller's buffers are never detached nor written to.
 * 6. `close` may be called twice; afterwards `infer` rejects, and nothing keeps the process alive.
 * 7. A worker that fails while starting is not restarted in a loop; one that dies later is, with backoff.
 *
 * Point 1 has one exception: a call that hangs settles only when it is aborted or the worker restarted.
 *
 * What is optional is for workers on other machines, which are somebody else's to start and stop:
 *
 * - Without `restart` a call that hangs is only given up: it is aborted, and counts as the slowest there is. The worker gets its next row
 *   when that call has settled after all, or it calls `onFree`, and is `free`. Until it has reason to believe that the machine is well again, it
 *   should not say so.
 * - With `gone` it tells that nothing can reach it now, so that queries need not wait for it until their deadlines.
 */
export interface ModelWorker {
  /** Unique among the workers of a predictor; stands in reports. */
  readonly name: string
  /**
   * What is known of its honesty goes by this, and so does which workers must not get one query twice. Workers of one machine share it: they
   * fail and lie together, and count as one vote. Default: its `name`.
   */
  readonly identity?: string | undefined
  /**
   * Whether it proves with a key that it is who it says it is. False: others can speak in its name, and it is not taken where some may
   * lie. Default: nobody is in the way to it.
   */
  readonly signed?: boolean | undefined
  /** It is the user's own: what it answers is taken for the model's. Default false. */
  readonly trusted?: boolean | undefined
  /** Where it comes from, for instance an address: workers of one origin may be one person. Default: not known. */
  readonly origin?: string | undefined
  /** What the model takes and gives. */
  readonly signature: Signature
  /** What tells its model from others with the same signature, as a hash of its bytes. Default: not known. */
  readonly fingerprint?: string | undefined
  /** What tells its model from others where it has no fingerprint; its fleet says it. */
  readonly modelId?: string | undefined
  /** What tells its model from others in saved states, beside the fingerprint. */
  readonly probed?: Probed | undefined
  /**
   * Of each output the root mean square of its values in the answer to a fixed query, the same for all workers, in the signature's order: how
   * large they are tells which differences are rounding. Default: not known; then some workers are asked a query where answers are compared, unless they say [].
   */
  readonly scales?: readonly number[] | undefined
  /** What the model's file tells of each output, in the signature's order: see `OutputHints`. Default: nothing is known but names and shapes. */
  readonly hints?: readonly OutputHints[] | undefined
  /** Whether the model answers the same query in the same way twice. Default: not known, and taken for true. */
  readonly repeats?: boolean | undefined
  /**
   * Calls that it takes at once. Default 1. It may change: it is read when a call has settled, and on `onFree`. One that is open takes a slot until it
   * settles; `inferBatch` counts as one call. Workers that share an identity, or that say `signed`, begin with one slot together, and get one more for
   * each answer, unless they are `trusted`.
   */
  readonly slots?: number
  /** Whether `infer` would take one more call now. */
  readonly free: boolean
  /**
   * Whether an abort ends its work. True: it is told of one also where another worker has answered first, and is free for others. False: it
   * need not be told of any. Default: it is told where nobody wants the answer, and else goes on.
   */
  readonly interruptible?: boolean | undefined
  /**
   * Whether it takes a second call while it is at work on one, and answers them in their order. It then gets one where
   * much waits and an inference takes a few milliseconds at most. Default false.
   */
  readonly takesNext?: boolean
  /**
   * Milliseconds that a call is on its way, there and back, beside the inference. Where it is long beside that, and much waits,
   * a worker with `takesNext` gets its next row ahead; it is taken back by an abort when the one before it is late. Default 0.
   */
  readonly roundTripMs?: number | undefined
  /** Makes memory that the worker reads without another copy; large queries are kept in it. Default: it has none. */
  readonly sharedMemory?: ((bytes: number) => SharedArrayBuffer | undefined) | undefined
  /**
   * Where sequences of tokens stand, for the option `limits.pad`; false: there are none, or zeros behind them change answers. Default: what
   * may be of any length in the place where the mask may.
   */
  readonly sequence?: SequenceAxes | false | undefined
  /** Queries that `inferBatch` takes at a time. Default 1: it has none. */
  readonly maxBatch?: number
  /**
   * True: it cannot be reached, and is not `free`; it is tried again in the background, and `onFree` is called when it is back. False or
   * absent: where it is not free it will be in a moment. Queries wait for that, but fail at once where all workers are gone.
   */
  readonly gone?: boolean
  /**
   * To be called when `free` may have turned true, or `gone` may have changed, by something else than a call that settled. One listener;
   * undefined removes it.
   */
  onFree: (() => void) | undefined

  /**
   * Runs the model on one query.
   *
   * @param query  a tensor for each input, in the signature's order; perhaps parts of larger buffers. The caller keeps them and
   *   may reuse them once the promise has settled
   * @param options  `signal` aborts the call: nobody wants its answer any more; `traceparent` is the W3C Trace Context of who asks, to be passed on
   * @returns a tensor for each output, in the signature's order; the caller owns them, and checks that their values are finite
   * @throws ApproxiferError WORKER, PROTOCOL, OVERLOADED, ABORTED, CLOSED
   */
  infer(query: TensorList, options?: { signal?: AbortSignal; traceparent?: string }): Promise<TensorList>

  /**
   * Runs the model once on several queries, of which no two are of one group. It counts as one call, and each query has an outcome as
   * if it had been alone: what is wrong with one, or an abort of it, costs no other its answer.
   *
   * @param queries  2 to `maxBatch`, each as for `infer`
   * @param options  `signals` one a query, in their order; `traceparent` of the first query that has one
   * @returns an outcome a query, in their order; it never throws
   */
  inferBatch?(
    queries: readonly TensorList[],
    options?: { signals?: readonly AbortSignal[]; traceparent?: string },
  ): Promise<TensorList>[]

  /** Stops a worker that hangs, rejects its open calls with WORKER, and starts it again off the critical path. */
  restart?: (why: string) => void

  /** Rejects open calls with CLOSED and frees everything. */
  close(): Promise<void>
}

/** What is wrong with the queries of a call. */
export function wrongQueries(
  { maxBatch = 1, signature: { inputs } }: Pick<ModelWorker, 'maxBatch' | 'signature'>,
  queries: readonly TensorList[],
): RangeError | undefined {
  if (queries.length > maxBatch) return new RangeError(`queries: expected at most ${maxBatch}, got ${queries.length}`)
  const fits = (query: TensorList) => query.length === inputs.length && inputs.every((spec, i) => isOf(query[i], spec))
  const odd = queries.find((query) => !fits(query))
  if (odd) return new RangeError(expected('query', wanted(inputs), odd))
  if (queries.length === 1) return undefined
  const [first] = queries
  const other = queries.find((query) =>
    inputs.some((spec, i) => isOpen(spec) && `${query[i].shape}` !== `${first[i].shape}`),
  )
  if (!other) return undefined
  const shapes = (query: TensorList) => query.map(({ shape }) => `[${shape}]`).join(' and ')
  return new RangeError(`queries: expected equal shapes in one batch, got ${shapes(first)} beside ${shapes(other)}`)
}

/** Of tensors whose lengths never differ only the count of values is looked at. */
function isOf({ data, shape }: AnyTensor, spec: TensorSpec): boolean {
  if (!isHeldAs(spec.type ?? 'float32', data)) return false
  if (!isOpen(spec)) return data.length === size(spec)
  return isShapeOf(shape, spec, 0) && data.length === size({ shape })
}

function wanted(inputs: Signature['inputs']): string {
  const isPlain = isVector(inputs)
  if (isPlain) return `tensors of ${inputs.map(size)} values`
  return `tensors of ${inputs.map((spec) => `${spec.type ?? 'float32'} [${shownShape(spec)}]`).join(' and ')}`
}

/** The identity of a worker: what it says, else its name. */
export function identityOf(worker: Pick<ModelWorker, 'name' | 'identity'>): string {
  return worker.identity ?? worker.name
}

/** What tells its model from others. */
export function modelIdOf({ modelId, fingerprint = 'unknown' }: Pick<ModelWorker, 'modelId' | 'fingerprint'>): string {
  return modelId ?? fingerprint
}

/** How many machines workers are on: those of one lie together. */
export function machinesOf(workers: Iterable<ModelWorker>): number {
  return new Set(Array.from(workers, identityOf)).size
}

/** @throws TypeError, RangeError for what is no worker */
export function checkWorker(field: string, worker: ModelWorker): void {
  checkFunction(`${field}.infer`, worker?.infer)
  checkString(`${field}.name`, worker.name)
  if (!('free' in worker)) throw new TypeError(expected(`${field}.free`, 'true or false', undefined)) // what it says may be an error
  if (worker.slots !== undefined) checkInteger(`${field}.slots`, worker.slots, 1)
  checkSpecs(`${field}.signature.inputs`, worker.signature?.inputs)
  checkSpecs(`${field}.signature.outputs`, worker.signature?.outputs)
  if (worker.fingerprint !== undefined) checkString(`${field}.fingerprint`, worker.fingerprint)
  const { maxBatch = 1, inferBatch } = worker
  if (checkInteger(`${field}.maxBatch`, maxBatch, 1) > 1 && typeof inferBatch !== 'function') {
    throw new TypeError(expected(`${field}.inferBatch`, 'a function, since maxBatch is above 1', inferBatch))
  }
}

export function checkSpecs(field: string, specs: Signature['inputs'] | undefined): void {
  if (!Array.isArray(specs) || !specs.length) throw new TypeError(expected(field, 'names and shapes', specs))
  specs.forEach(({ name, shape, type }, i) => {
    checkString(`${field}[${i}].name`, name)
    checkLengths(`${field}[${i}].shape`, Array.isArray(shape) ? shape.map((n) => (n === -1 ? 1 : n)) : shape)
    if (type !== undefined) checkWord(`${field}[${i}].type`, type, elementTypes)
  })
}

/**
 * What becomes of the workers of a predictor: one joins, or one of a name leaves. `remove`: its calls reject with WORKER and go
 * elsewhere. `drain`: it gets no more rows, and its calls end first. Either way it is closed then, and its name may be another's.
 * One of which the name is taken, or the model another, is refused: closed, with a warning; but where no worker is left, the model of
 * the next one that joins is the predictor's from then on.
 *
 * `model`: all workers, those that are there and those to come, have another model than before, with this fingerprint where one is
 * known; `modelId` and `probed`: what those workers say of it. What was learned of the one before is forgotten, and queries under way
 * are asked again.
 */
export type Change = { add: ModelWorker } | { remove: string } | { drain: string } | ModelChange

export interface ModelChange extends Pick<ModelWorker, 'modelId' | 'probed'> {
  model: string | undefined
}

/** Workers that come and go, for a predictor's option `workers`. */
export interface WorkerChanges extends AsyncIterable<Change> {
  /** More workers than these will never have joined: a scheme that needs more is refused at once. Default: any number may come. */
  readonly most?: number | undefined
  /**
   * Called before the first change is read, by a reader that keeps the workers of several models apart: from then on those of all join,
   * each with its `modelId` or `fingerprint`, and no `model` is told.
   */
  readonly apart?: (() => void) | undefined
  /**
   * Called before the first change is read, where some may lie: a model that no more than `liars` machines have is not to take the place of
   * another, nor by the word of workers whose `signed` is false. Infinity: where any number may lie, those of trusted machines alone count.
   */
  readonly doubt?: ((liars: number) => void) | undefined
  /** Called before `apart` with a worker that is not one of these, and joins the same predictor: a model that answers alike is called by that one's fingerprint. */
  readonly alongside?: ((worker: ModelWorker) => Promise<void>) | undefined
}
