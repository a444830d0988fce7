/** Makes a predictor with its workers, so that the predictor itself knows nothing about threads. */

import { checkInteger, expected, isObject, wrongType } from '../base/check'
import { withoutPassword } from '../base/errors'
import { doubtsOf } from '../base/output-kind'
import { verifiedWorkers } from '../base/scheme'
import { CheckedWorker } from '../workers/checked'
import { localWorkers, mostThreads } from '../workers/local/local'
import { type ModelWorker, machinesOf, type WorkerChanges } from '../workers/worker'
import { abilitiesOf } from './abilities'
import type { Needs } from './membership'
import type { PredictorOptions } from './options'
import { ownRequest } from './own-request'
import { Predictor } from './predictor'
import type { Checked, Coded, Settings } from './settings'
import { checkOptions, isVerified, mayRecall, settingsOf, unread, withoutRecoveries } from './settings'
import type { TrustLayers } from './stack'
import { type Coder, noCoder } from './tenants'

/** Addresses that an error repeats. */
const MOST_LISTED = 4

/**
 * Starts the workers and resolves when all have loaded the model and run it once. In workerd the predictor belongs to the request or Durable Object
 * that made it, and throws CLOSED in others.
 *
 * @throws TypeError, RangeError for a wrong option; ApproxiferError MODEL, WORKER if the start fails
 */
export async function createPredictor(options: PredictorOptions): Promise<Predictor> {
  const guard = ownRequest('the predictor')
  const given = checkOptions(options)
  refuseAddresses(given.workers)
  const coder = isCoded(given) ? await (await import('./coder')).loadCoder(given) : noCoder()
  const settings = settingsOf(given, coder, guard)
  const dependencies = await dependenciesFor(given, coder)
  const needed = workersNeeded(coder)
  const least = leastOf(coder, needed)
  const counted = coder.scheme.byzantine || dependencies.reputation ? 'machines' : 'workers'
  const liars = dependencies.sampling || dependencies.reputation ? Number.POSITIVE_INFINITY : coder.scheme.byzantine
  const needs: Needs = { needed, least, counted, liars, needsTrusted: dependencies.sampling !== undefined }
  const { workers = needed } = given
  if (Array.isArray(workers) || isIterable(workers)) {
    const { createWorker: _, ...own } = options.onnx ?? {} // it also makes the memory's thread
    const name = options.model !== undefined ? 'model' : Object.keys(own).length ? 'onnx' : undefined
    if (name) throw new TypeError(`${name}: expected none beside ready workers, which have theirs`)
  }
  if (given.rollout && typeof workers === 'number') {
    throw new TypeError('rollout: expected none for threads, which get a new model at once: servers can be compared')
  }
  if (Array.isArray(workers)) {
    const ready = workers.map((worker, i) => new CheckedWorker(`workers[${i}]`, worker, settings.warn))
    checkReady(ready, needs)
    return remembering(coder, new Predictor(coder, ready, ableTo(given, settings, coder, ready[0]), dependencies))
  }
  const membership = isIterable(workers)
    ? new (await import('./membership')).Membership(workers, settings.warn, dependencies.rollout !== undefined)
    : undefined
  const started = await (membership?.gather(needs, settings.clock) ??
    startThreads(given, checkInteger('workers', workers, needed)))
  try {
    const able = ableTo(given, settings, coder, started[0])
    const isProven = isVerified(coder) || coder.code !== 'systematic'
    const all = { ...dependencies, membership, needs: { ...needs, least: isProven ? least : 1 } }
    return await remembering(coder, new Predictor(coder, started, able, all))
  } catch (error) {
    membership?.close()
    await Promise.allSettled(started.map((worker) => worker.close()))
    throw error
  }
}

/** Text that is an address, not a number from a form. */
const isAddress = (worker: unknown) => worker instanceof URL || (typeof worker === 'string' && /[:/.]/.test(worker))

/** @throws TypeError for addresses in the place of workers, with the call that makes workers of them */
function refuseAddresses(workers: unknown): void {
  const all: unknown[] = Array.isArray(workers) ? workers : [workers]
  const at = all.findIndex(isAddress)
  if (at < 0) return
  const urls = all.filter(isAddress).map((url) => withoutPassword(`${url}`))
  const list = urls.slice(0, MOST_LISTED).map((url) => `'${url}'`)
  const more = urls.length > MOST_LISTED ? ', ..' : ''
  const call = `workers: httpWorkers([${list.join(', ')}${more}], { model: 'NAME THERE' })`
  const field = Array.isArray(workers) ? `workers[${at}]` : 'workers'
  throw wrongType(`${field}: expected workers, got an address: write ${call}, with httpWorkers of 'approxifer/http'`)
}

/** Resolves once the memory has loaded its saved state. */
async function remembering(coder: Coder, predictor: Predictor): Promise<Predictor> {
  await coder.ready()
  return predictor
}

/** Imports the modules that only some predictors need. */
async function dependenciesFor(given: Checked, coded: Coded) {
  const { exact, maxError } = given.reuse
  return {
    given: mayRecall(given) ? await givenAnswers(given) : undefined,
    BatchAdmission: (await import('./batch-admission')).BatchAdmission,
    reuse: exact || maxError !== undefined ? await (await import('./reuse')).reuseFor(maxError) : undefined,
    rollout: given.rollout ? (await import('./rollout')).Rollout : undefined,
    sampling:
      given.verify.mode === 'sampled' ? (await import('../trust/sampling')).samplingOf(given, coded) : undefined,
    reputation: given.verify.trust === 'open' ? await openReputation(given) : undefined,
    trustLayers: await trustLayers(given, coded),
  }
}

async function trustLayers({ verify: { mode, trust } }: Checked, coded: Coded): Promise<TrustLayers> {
  return {
    agree: isVerified(coded) ? (await import('../layers/agree')).agree : undefined,
    sample: mode === 'sampled' ? (await import('../layers/sample')).sample : undefined,
    vouch: trust === 'open' ? (await import('../layers/vouch')).vouch : undefined,
  }
}

async function givenAnswers({ testing: { coin } }: Checked) {
  return new (await import('../trust/given-answers')).GivenAnswers(coin)
}

async function openReputation(given: Checked) {
  const { OpenReputation, checkOpen } = await import('./open')
  checkOpen(given)
  return OpenReputation
}

function checkReady(workers: readonly ModelWorker[], { needed, counted, needsTrusted }: Needs): void {
  if (workers.length < needed) throw new RangeError(`workers: expected >= ${needed}, got ${workers.length}`)
  checkAlike(workers)
  const machines = machinesOf(workers)
  if (counted === 'machines' && machines < needed) {
    throw new RangeError(`workers: expected >= ${needed} machines, got ${machines} (${workers.length} workers)`)
  }
  const unsigned = counted === 'machines' || needsTrusted ? workers.findIndex(({ signed }) => signed === false) : -1
  if (unsigned >= 0) throw new RangeError(expected(`workers[${unsigned}].signed`, 'true, since some may lie', false))
  if (!needsTrusted || workers.some(({ trusted }) => trusted)) return
  throw new RangeError(
    `workers: expected one at least that is yours (trusted), whom verify.mode 'sampled' asks for proof, got none of ${workers.length}`,
  )
}

/** Checks that each worker has a name of its own, belongs to no other predictor, and has the same model. */
function checkAlike(workers: readonly ModelWorker[]): readonly ModelWorker[] {
  workers.forEach((worker, i) => {
    if (worker.onFree) throw new RangeError(`workers[${i}].onFree: expected none, got that of another predictor`)
  })
  const seen = new Set<string>()
  workers.forEach(({ name }, i) => {
    if (seen.has(name)) throw new RangeError(`workers[${i}]: expected a name of its own, got ${name} again`)
    seen.add(name)
  })
  const [first, ...rest] = workers.map((worker) => JSON.stringify(worker.signature))
  const odd = rest.findIndex((signature) => signature !== first)
  if (odd >= 0) throw new RangeError(`workers[${odd + 1}]: expected signature ${first}, got ${rest[odd]}`)
  return workers
}

/** Adapts the settings to what can be done with the model. @throws RangeError for options that the model does not support, with an alternative */
function ableTo(given: Checked, settings: Settings, coder: Coder, worker: ModelWorker): Settings {
  checkAbilities(given, coder, worker)
  return readable(given, settings, coder, worker)
}

/**
 * If it is a guess what outputs mean, a confidence would mislead: options that rely on it are refused if they were given, and left out otherwise.
 *
 * @throws RangeError with what the user has to say
 */
function readable(given: Checked, settings: Settings, { code, learns }: Coder, worker: ModelWorker): Settings {
  const { policy, memory, reuse, right: said } = given
  const { why, memory: how, right } = abilitiesOf(worker, said)
  const isRemembered = how === 'vector' || (how === 'features' && memory && typeof memory.features === 'function')
  const guess = doubtsOf(right).join('; ')
  if (!guess || !learns || (why && !isRemembered)) return settings
  if (reuse.maxError !== undefined) throw new RangeError(unread('reuse.maxError', reuse.maxError, guess))
  if (policy === 'auto') throw new RangeError(unread('policy', "'auto'", guess))
  const { choices, warn } = settings
  if (code !== 'systematic' || choices.policy === 'recover') {
    warn(guess)
    return settings
  }
  if (choices.policy === 'auto') warn(`nothing is recovered, and no answer checked by a memory: ${guess}`)
  return withoutRecoveries(settings, guess, Boolean(memory))
}

function checkAbilities(given: Checked, coded: Coded, worker: ModelWorker): void {
  const { scheme, policy, memory, reuse } = given
  const { why, whyNotEqual, memory: how } = abilitiesOf(worker, given.right)
  const { byzantine } = coded.scheme
  const { exact, maxError } = reuse
  const { trust, mode } = given.verify
  const equal = [
    ['scheme.byzantine', '0', byzantine],
    ['verify.trust', "'closed'", trust === 'open' && trust],
    ['verify.mode', "'every'", mode === 'sampled' && mode],
    ['reuse.exact', 'false', exact],
    ['reuse.maxError', 'none', maxError],
  ] as const
  for (const [field, what, got] of whyNotEqual ? equal : [])
    if (got) throw new RangeError(`${expected(field, what, got)}: ${whyNotEqual}`)
  const isRemembered = how === 'vector' || (how === 'features' && memory && typeof memory.features === 'function')
  if (!why) return
  const refuse = (field: string, what: string, got: unknown) => {
    const rest = `hedges, retries, batches and agreement (byzantine) need no code${how ? ', nor does memory.features' : ''}`
    throw new RangeError(`${expected(field, what, got)}: ${why}; ${rest}`)
  }
  if (coded.code !== 'systematic') refuse('scheme', 'the systematic code', scheme?.preset)
  if (coded.scheme.stragglers) refuse('scheme.stragglers', '0', coded.scheme.stragglers)
  if (isRemembered) return
  // A state has more than a memory: the workers' records.
  if (memory && (memory.bytes || memory.features || !memory.state)) refuse('memory', 'false', memory)
  if (maxError) refuse('reuse.maxError', 'none', maxError)
  if (policy === 'recover') refuse('policy', "'auto' | 'retry'", policy)
}

/** Starts this many local workers. */
function startThreads(
  { model, onnx, onWarning, verify: { rounding } }: Checked,
  workers: number,
): Promise<ModelWorker[]> {
  checkInteger('workers', workers, 1, mostThreads())
  if (model === undefined) throw new TypeError(expected('model', 'a path, a URL or bytes', model))
  return localWorkers({ ...onnx, rounding: onnx.rounding ?? rounding, model, workers, ...(onWarning && { onWarning }) })
}

/** Whether something is coded, learned or computed. */
function isCoded({ scheme, policy = 'retry', memory, testing, reuse }: Checked): boolean {
  return policy !== 'retry' || Boolean(scheme || memory || testing.core || reuse.maxError)
}

/** The fewest workers that a predictor with this code starts on; with liars, the fewest machines. */
export function workersNeeded(coded: Coded): number {
  return isVerified(coded) ? verifiedWorkers(coded.scheme) : coded.scheme.workers
}

/**
 * The fewest workers to start on if the others do not come: S may be missing, and E, since a liar may be ejected after its first answer. With the
 * paper's code none may be missing: each coded query of a group needs a worker.
 */
function leastOf({ code, scheme }: Coded, needed: number): number {
  return code === 'systematic' ? Math.max(1, needed - scheme.stragglers - scheme.byzantine) : needed
}

const isIterable = (workers: unknown): workers is WorkerChanges => isObject(workers) && Symbol.asyncIterator in workers
