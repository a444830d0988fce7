/** Composes local workers with a predictor, so that serving knows no threads. */

import { checkInteger, checkNames, expected } from '../check'
import { Codec, codecOptions } from '../codec/codec'
import { type Core, loadCore } from '../core/core'
import { ownRequest } from '../own-request'
import { verifiedWorkers } from '../scheme'
import { type LocalOptions, localOptions, localWorkers, mostThreads } from '../workers/local/local'
import type { ModelWorker, WorkerChanges } from '../workers/worker'
import { Membership, machinesOf } from './membership'
import { checkAlike, checkSettings, isVerified, type ServingOptions, servingOptions } from './options'
import { Predictor } from './predictor'

export interface PredictorOptions
  extends ServingOptions,
    Partial<Omit<LocalOptions, 'workers' | 'maxPending' | 'onWarning'>> {
  /**
   * Workers: how many local ones to start (default: as many as the scheme has rows; more are spares), or ready ones, which
   * `close` closes. Or an iterable that tells of those that come and go: see `Change`. The predictor is there when as many have joined as the
   * scheme needs, and takes further changes as they come; should there be no more, it goes on with the workers that it has. `close`
   * calls its `return`. With `byzantine` > 0 machines count, not workers: see `ModelWorker.identity`.
   */
  workers?: number | readonly ModelWorker[] | WorkerChanges
}

/** Of `localWorkers`, what a predictor passes on and has no use for itself. It gives a worker one row at a time. */
const theirs = localOptions.filter((name) => name !== 'onWarning' && name !== 'maxPending')

/**
 * Starts workers and returns when all have loaded the model and run it once. In workerd the predictor serves the request, or the Durable
 * Object, that made it, and throws CLOSED in others.
 *
 * @throws TypeError, RangeError for a wrong option; ApproxiferError MODEL, WORKER where the start fails
 */
export async function createPredictor(options: PredictorOptions): Promise<Predictor> {
  const guard = ownRequest('the predictor')
  checkNames('', options, [...theirs, ...servingOptions, 'workers'])
  const codec = codecFor(await loadCore(options.core), options)
  const settings = checkSettings(options, codec, guard)
  const needed = workersNeeded(codec)
  const counted = codec.scheme.byzantine ? 'machines' : 'workers'
  const { workers = needed, model, onWarning } = options
  const given = theirs.filter((name) => options[name as keyof PredictorOptions] !== undefined)
  if (Array.isArray(workers)) {
    if (workers.length < needed) throw new RangeError(`workers: expected >= ${needed}, got ${workers.length}`)
    if (given.length) throw new TypeError(`${given[0]}: expected none beside ready workers, which have theirs`)
    checkAlike(workers)
    const machines = machinesOf(workers)
    if (counted === 'machines' && machines < needed) {
      throw new RangeError(`workers: expected >= ${needed} machines, got ${machines} (${workers.length} workers)`)
    }
    return new Predictor(codec, workers, settings)
  }
  if (isIterable(workers)) {
    if (given.length) throw new TypeError(`${given[0]}: expected none beside ready workers, which have theirs`)
    const membership = new Membership(workers, settings.warn)
    const gathered = await membership.gather(needed, settings.clock, counted)
    return startOn(
      gathered,
      () => new Predictor(codec, gathered, settings, membership),
      () => membership.close(),
    )
  }
  const count = checkInteger('workers', workers, needed)
  checkInteger('workers', count, 1, mostThreads())
  if (model === undefined) throw new TypeError(expected('model', 'a path, a URL or bytes', model))
  const local = Object.fromEntries(given.map((name) => [name, options[name as keyof PredictorOptions]]))
  const started = await localWorkers({ ...local, model, workers: count, ...(onWarning && { onWarning }) })
  return startOn(started, () => new Predictor(codec, started, settings))
}

/** What a predictor codes with: the systematic code unless the options name another or the preset, also where workers may lie. */
export function codecFor(core: Core, { preset, scheme = { queries: 1 } }: Pick<PredictorOptions, 'preset' | 'scheme'>) {
  checkNames('scheme', scheme, codecOptions)
  const published = scheme.preset ?? preset
  const code = scheme.code ?? (published ? undefined : 'systematic')
  return new Codec(core, { ...scheme, preset: published, ...(code && { code }) })
}

/** The fewest workers that a predictor with this codec starts on; where some may lie the fewest machines. */
export function workersNeeded(codec: Codec): number {
  return isVerified(codec) ? verifiedWorkers(codec.scheme) : codec.scheme.workers
}

/** Closes the workers where the predictor cannot be made. */
async function startOn(workers: readonly ModelWorker[], make: () => Predictor, failed = () => {}): Promise<Predictor> {
  try {
    return make()
  } catch (error) {
    failed()
    await Promise.allSettled(workers.map((worker) => worker.close()))
    throw error
  }
}

function isIterable(workers: unknown): workers is WorkerChanges {
  return typeof workers === 'object' && workers !== null && Symbol.asyncIterator in workers
}
