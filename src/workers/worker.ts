/** One ModelWorker is one failure domain: it runs the model, and may be slow, dead or Byzantine. */

import { checkLengths, checkString, checkWord, expected } from '../base/check'
import { elementTypes, isHeldAs } from '../base/element'
import type { OutputHints } from '../base/output-kind'
import type { Probed } from '../base/saved'
import type { AnyTensor, Signature, TensorList, TensorSpec } from '../base/tensor'
import { isOpen, isShapeOf, isVector, shownShape, size } from '../base/tensor'
import type { ConnectionLimit } from './connection-limit'
import type { SequenceAxes } from './sequence'

/** Smallest size in bytes of a query for which shared memory is faster than a copy. */
export const LARGE = 2 ** 15

/**
 * What every worker must do. One test suite checks all kinds of workers against these rules:
 *
 * 1. `infer` always settles: if the worker exits, throws or returns garbage, its open calls reject.
 * 2. An abort rejects the call at once; a late answer to it is dropped.
 * 3. A failed call does not affect the next one. A busy worker has not failed: it rejects calls that it does not start with
 *   OVERLOADED, and sets `retryMs` of that error if it knows how long it will be busy. The predictor sends the query elsewhere,
 *   blames nobody, and sends the worker nothing for a while, whatever `free` says.
 * 4. Calls beyond its slots reject at once, with OVERLOADED.
 * 5. The caller's buffers are never detached nor written to.
 * 6. `close` may be called twice; afterwards `infer` rejects, and nothing keeps the process alive.
 * 7. A worker that fails while starting is not restarted in a loop; a worker that dies later is restarted, with backoff.
 *
 * Rule 1 has one exception: a call that hangs settles only when it is aborted or the worker is restarted.
 *
 * Two optional members are for workers on other machines, which the predictor cannot start or stop:
 *
 * - A worker without `restart` is not restarted when a call hangs: the call is aborted and counts as the slowest there is. The
 *   worker gets its next query when that call has settled, or when it calls `onFree` and is `free`. It should not report `free`
 *   before it has reason to believe that its machine works again.
 * - A worker with `gone` reports that it cannot be reached now, so that queries do not wait for it until their deadlines.
 */
export interface ModelWorker {
  /** Unique among the workers of a predictor; shown in logs and reports. */
  readonly name: string
  /**
   * The key of this worker's reputation. Workers of one machine share an identity, since they fail and lie together: they count
   * as one vote, and no two of them get the same query. Default: its `name`.
   */
  readonly identity?: string | undefined
  /**
   * Whether the worker proves its identity with a key. False: others can send messages in its name, and it is refused where
   * Byzantine workers are expected. Default: undefined, for workers that no outsider can impersonate.
   */
  readonly signed?: boolean | undefined
  /** Whether the worker is the user's own, so that its answers are taken for the model's. Default false. */
  readonly trusted?: boolean | undefined
  /** Where the worker comes from, for instance an IP address: workers of one origin may belong to one person. Default: unknown. */
  readonly origin?: string | undefined
  /** Names, types and shapes of the model's inputs and outputs. */
  readonly signature: Signature
  /** Distinguishes its model from others with the same signature, for instance a hash of the model's bytes. Default: unknown. */
  readonly fingerprint?: string | undefined
  /** Distinguishes its model from others where it has no fingerprint; set by its fleet. */
  readonly modelId?: string | undefined
  /** Identifies its model in saved states, in addition to the fingerprint. */
  readonly probed?: Probed | undefined
  /**
   * For each output, in the signature's order, the root mean square of its values in the answer to a fixed query that is the same
   * for all workers. It tells which differences between answers are rounding. Default: unknown; the predictor then measures it by
   * a query to some workers where answers are compared, unless this is [].
   */
  readonly scales?: readonly number[] | undefined
  /**
   * What the model's file says about each output, in the signature's order: see `OutputHints`. Default: only names and shapes are
   * known.
   */
  readonly hints?: readonly OutputHints[] | undefined
  /** Whether the model gives the same answer to the same query twice. Default: unknown, and taken for true. */
  readonly repeats?: boolean | undefined
  /**
   * Number of calls that it takes concurrently. Default 1. It may change; it is read when a call has settled, and on `onFree`. An
   * open call holds a slot until it settles; `inferBatch` counts as one call. Unless they are `trusted`, workers that share an
   * identity or are `signed` start with one slot together and get one more for each answer.
   */
  readonly slots?: number
  /** Whether `infer` would accept another call now. */
  readonly free: boolean
  /**
   * The connections that it shares with other workers, where the runtime allows only a few at a time: an open call takes one. Queries wait
   * in the predictor while none is free. Default: it has connections of its own.
   */
  readonly connections?: Pick<ConnectionLimit, 'most' | 'free' | 'wait'> | undefined
  /**
   * Whether an abort stops its work. True: calls are also aborted when another worker has answered first, which frees the worker.
   * False: calls are never aborted. Default: calls are aborted only where nobody needs the answer.
   */
  readonly interruptible?: boolean | undefined
  /**
   * Whether it accepts a second call while it runs one, and answers them in order. It then gets one in advance when many queries
   * wait and an inference takes at most a few milliseconds. Default false.
   */
  readonly takesNext?: boolean
  /**
   * Network round trip of a call in milliseconds, without the inference. Where it is long compared with the inference and many
   * queries wait, a worker with `takesNext` gets its next query in advance; that query is aborted if the one before it is late.
   * Default 0.
   */
  readonly roundTripMs?: number | undefined
  /** Allocates memory that the worker can read without a copy; large queries are kept in it. Default: not supported. */
  readonly sharedMemory?: ((bytes: number) => SharedArrayBuffer | undefined) | undefined
  /**
   * The sequence axes of a token model, for the option `limits.pad`. False: the model has none, or padding with zeros changes its
   * answers. Default: guessed from the position of the mask's dynamic axis.
   */
  readonly sequence?: SequenceAxes | false | undefined
  /** Largest number of queries in one `inferBatch`. Default 1: batches are not supported. */
  readonly maxBatch?: number
  /**
   * True: it cannot be reached and is not `free`; it reconnects in the background, and calls `onFree` when it is back. False or
   * absent: if it is not free it will be soon. Queries wait for a worker that is not free, but fail at once where all workers are
   * gone.
   */
  readonly gone?: boolean
  /**
   * Called by the worker when `free` may have become true or `gone` may have changed for another reason than a settled call. One
   * listener; undefined removes it.
   */
  onFree: (() => void) | undefined

  /**
   * Runs the model on one query.
   *
   * @param query  a tensor for each input, in the signature's order; may be views of larger buffers. The caller owns them and
   *   may reuse them once the promise has settled
   * @param options  `signal` aborts the call: nobody needs its answer any more; `traceparent` is the caller's W3C Trace Context,
   *   to be forwarded
   * @returns a tensor for each output, in the signature's order; the caller owns them, and checks that their values are finite
   * @throws ApproxiferError WORKER, PROTOCOL, OVERLOADED, ABORTED, CLOSED
   */
  infer(query: TensorList, options?: { signal?: AbortSignal; traceparent?: string }): Promise<TensorList>

  /**
   * Runs the model once on several queries of different groups. It counts as one call, and each query has its own outcome: an
   * invalid or aborted query does not affect the others.
   *
   * @param queries  2 to `maxBatch`, each as for `infer`
   * @param options  `signals` one for each query, in their order; `traceparent` of the first query that has one
   * @returns an outcome for each query, in their order; it never throws
   */
  inferBatch?(
    queries: readonly TensorList[],
    options?: { signals?: readonly AbortSignal[]; traceparent?: string },
  ): Promise<TensorList>[]

  /**
   * Called with true when nobody has asked for some seconds, with false by the next query. Asleep it should make no calls and set no timers: on
   * some runtimes these are billed. Default: it always is awake.
   */
  sleep?: ((isAsleep: boolean) => void) | undefined

  /** Stops a worker that hangs, rejects its open calls with WORKER, and starts it again in the background. */
  restart?: (why: string) => void

  /** Rejects open calls with CLOSED and frees all resources. */
  close(): Promise<void>
}

/** Checks the queries of a call against the worker's signature; returns the error to reject them with, if any. */
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

/** Whether a tensor matches its spec. Where all lengths are fixed only the number of values is compared. */
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

export function identityOf(worker: Pick<ModelWorker, 'name' | 'identity'>): string {
  return worker.identity ?? worker.name
}

/** The id of a worker's model: the fleet's name for it, else its fingerprint. */
export function modelIdOf({ modelId, fingerprint = 'unknown' }: Pick<ModelWorker, 'modelId' | 'fingerprint'>): string {
  return modelId ?? fingerprint
}

/** The number of machines that these workers run on: workers of one machine share an identity and lie together. */
export function machinesOf(workers: Iterable<ModelWorker>): number {
  return new Set(Array.from(workers, identityOf)).size
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
 * A change in the workers of a predictor.
 *
 * `add`: a worker joins. It is closed with a warning if its name is taken or its model is another; but if no worker is left, the
 * predictor adopts the model of the next worker that joins.
 *
 * `remove`, `drain`: the worker of that name leaves. With `remove` its calls reject with WORKER and go elsewhere; with `drain` it
 * gets no more queries, and its calls end first. Then it is closed, and its name is free again.
 *
 * `model`: all workers, present and future ones, have a new model with this fingerprint, if it is known; `modelId` and `probed`
 * are those of the new model's workers. What was learned of the old model is forgotten, and queries under way are sent again.
 */
export type Change = { add: ModelWorker } | { remove: string } | { drain: string } | ModelChange

export interface ModelChange extends Pick<ModelWorker, 'modelId' | 'probed'> {
  model: string | undefined
}

/** Workers that join and leave, for a predictor's option `workers`. */
export interface WorkerChanges extends AsyncIterable<Change> {
  /** An upper bound on the workers that will ever join: a scheme that needs more is refused at once. Default: unbounded. */
  readonly most?: number | undefined
  /**
   * Called before the first change is read, by a reader that serves several models separately: workers with any model then join,
   * each with its `modelId` or `fingerprint`, and no `model` change is sent.
   */
  readonly apart?: (() => void) | undefined
  /**
   * Called before the first change is read, where workers may be Byzantine: a model must be on more than `liars` machines to
   * replace another one, and workers whose `signed` is false have no vote. Infinity: any number may lie, and only trusted
   * machines vote.
   */
  readonly doubt?: ((liars: number) => void) | undefined
  /**
   * Called before `apart` with a worker of another source that joins the same predictor: a model with equal answers gets that
   * worker's fingerprint as its id.
   */
  readonly alongside?: ((worker: ModelWorker) => Promise<void>) | undefined
  /** As `ModelWorker.sleep`, for all of its workers. */
  readonly sleep?: ((isAsleep: boolean) => void) | undefined
}
