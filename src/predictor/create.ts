/** Composes local workers with a predictor, so that serving knows no threads. */

import { checkInteger, expected } from '../check'
import { ownRequest } from '../own-request'
import { verifiedWorkers } from '../scheme'
import { localWorkers, mostThreads } from '../workers/local/local'
import type { ModelWorker, WorkerChanges } from '../workers/worker'
import { checkAlike, Membership, machinesOf } from './membership'
import type { PredictorOptions } from './options'
import { Predictor } from './predictor'
import { type Checked, type Coded, checkOptions, isVerified, settingsOf } from './settings'
import { noCoder } from './tenants'

/**
 * Starts workers and returns when all have loaded the model and run it once. In workerd the predictor serves the request, or the Durable
 * Object, that made it, and throws CLOSED in others.
 *
 * @throws TypeError, RangeError for a wrong option; ApproxiferError MODEL, WORKER where the start fails
 */
export async function createPredictor(options: PredictorOptions): Promise<Predictor> {
  const guard = ownRequest('the predictor')
  const given = checkOptions(options)
  const coder = isCoded(given) ? await (await import('./coder')).loadCoder(given) : noCoder()
  const settings = settingsOf(given, coder, guard)
  const needed = workersNeeded(coder)
  const counted = coder.scheme.byzantine ? 'machines' : 'workers'
  const { workers = needed, model, onWarning } = given
  if (Array.isArray(workers) || isIterable(workers)) {
    const name = (['model', 'onnx'] as const).find((each) => options[each] !== undefined)
    if (name) throw new TypeError(`${name}: expected none beside ready workers, which have theirs`)
  }
  if (Array.isArray(workers)) {
    if (workers.length < needed) throw new RangeError(`workers: expected >= ${needed}, got ${workers.length}`)
    checkAlike(workers)
    const machines = machinesOf(workers)
    if (counted === 'machines' && machines < needed) {
      throw new RangeError(`workers: expected >= ${needed} machines, got ${machines} (${workers.length} workers)`)
    }
    return new Predictor(coder, workers, settings)
  }
  if (isIterable(workers)) {
    const membership = new Membership(workers, settings.warn)
    const gathered = await membership.gather(needed, settings.clock, counted)
    return startOn(
      gathered,
      () => new Predictor(coder, gathered, settings, membership),
      () => membership.close(),
    )
  }
  const count = checkInteger('workers', workers, needed)
  checkInteger('workers', count, 1, mostThreads())
  if (model === undefined) throw new TypeError(expected('model', 'a path, a URL or bytes', model))
  const started = await localWorkers({ ...given.onnx, model, workers: count, ...(onWarning && { onWarning }) })
  return startOn(started, () => new Predictor(coder, started, settings))
}

/** Whether there is something to code, to learn, or to compute with. */
function isCoded({ scheme, policy = 'retry', memory, testing }: Checked): boolean {
  return policy !== 'retry' || Boolean(scheme || memory || testing.core)
}

/** The fewest workers that a predictor with this code starts on; where some may lie the fewest machines. */
export function workersNeeded(coded: Coded): number {
  return isVerified(coded) ? verifiedWorkers(coded.scheme) : coded.scheme.workers
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
