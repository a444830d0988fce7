/**
 * Wraps a worker of unknown origin for the predictor: every property that a worker reports is read and checked here. A property's
 * getter may throw or change its answer. Properties that tell workers apart are read once, when the worker joins. The others are
 * checked at each read; a wrong value causes one warning and is replaced by a safe default.
 */

import { checkBoolean, checkString, expected, isObject } from '../base/check'
import { asError } from '../base/errors'
import type { Warn } from '../base/notices'
import type { Signature, TensorList } from '../base/tensor'
import { checkSpecs, checkWorker, type ModelWorker } from './worker'

type Optional<T> = T | undefined
type Fits = (value: unknown) => boolean
/** Reads one property. Each property has its own function, since `worker[name]` with a varying name takes several times as long. */
type Read = (worker: ModelWorker) => unknown

const isBoolean: Fits = (value) => typeof value === 'boolean'
const isFlag: Fits = (value) => value === undefined || typeof value === 'boolean'
const isTextOrNone: Fits = (value) => value === undefined || typeof value === 'string'
const isMs: Fits = (value) => value === undefined || (Number.isFinite(value) && (value as number) >= 0)
const isCount: Fits = (value) => value === undefined || (Number.isSafeInteger(value) && (value as number) >= 1)
const isFunctionOrNone: Fits = (value) => value === undefined || typeof value === 'function'
const isObjectOrNone: Fits = (value) => value === undefined || isObject(value)
const isListOrNone: Fits = (value) =>
  value === undefined || (Array.isArray(value) && value.every((each) => typeof each === 'number'))
const areHints: Fits = (value) => value === undefined || (Array.isArray(value) && value.every(isObject))
const isSequence: Fits = (value) => value === false || isObjectOrNone(value)

export class CheckedWorker implements ModelWorker {
  readonly name: string
  declare readonly identity: Optional<string>
  declare readonly signed: Optional<boolean>
  declare readonly trusted: Optional<boolean>
  declare readonly origin: Optional<string>
  readonly signature: Signature
  declare readonly fingerprint: Optional<string>
  readonly #worker: ModelWorker
  readonly #warn: Warn
  /** Properties about which a warning was given. */
  readonly #odd = new Set<string>()
  /** True while a getter of the worker runs. A getter that reads the wrapper again gets the default, so it cannot recurse for ever. */
  #isAsked = false
  #slots = 1

  /**
   * @param field path of the worker in error messages
   * @param warn called with each warning; must not throw
   * @throws TypeError or RangeError if the object does not implement ModelWorker
   */
  constructor(field: string, worker: ModelWorker, warn: Warn) {
    try {
      checkWorker(field, worker)
      const { name, identity, signed, trusted, origin, signature, fingerprint } = worker
      this.name = checkString(`${field}.name`, name)
      this.signature = signature
      for (const side of ['inputs', 'outputs'] as const) checkSpecs(`${field}.signature.${side}`, signature?.[side])
      const texts = { identity, origin, fingerprint }
      for (const [name, text] of Object.entries(texts)) if (text !== undefined) checkString(`${field}.${name}`, text)
      for (const [name, flag] of Object.entries({ signed, trusted }))
        if (flag !== undefined) checkBoolean(`${field}.${name}`, flag)
      Object.assign(this, texts, { signed, trusted })
    } catch (error) {
      if (error instanceof TypeError || error instanceof RangeError) throw error
      throw new TypeError(`${field}: expected a worker, got one that cannot be read: ${textOf(error)}`, {
        cause: error,
      })
    }
    this.#worker = worker
    this.#warn = warn
  }

  get free(): boolean {
    return this.#ask('free', (worker) => worker.free, isBoolean, 'true or false', false)
  }

  get gone(): boolean {
    return this.#ask<Optional<boolean>>('gone', (worker) => worker.gone, isFlag, 'true or false', false) === true
  }

  get slots(): number {
    this.#slots =
      this.#ask<Optional<number>>('slots', (worker) => worker.slots, isCount, 'an integer >= 1', this.#slots) ?? 1
    return this.#slots
  }

  get maxBatch(): number {
    return this.inferBatch
      ? (this.#ask<Optional<number>>('maxBatch', (worker) => worker.maxBatch, isCount, 'an integer >= 1', 1) ?? 1)
      : 1
  }

  get modelId(): Optional<string> {
    return this.#ask('modelId', (worker) => worker.modelId, isTextOrNone, 'a string', undefined)
  }

  get interruptible(): Optional<boolean> {
    return this.#ask('interruptible', (worker) => worker.interruptible, isFlag, 'true or false', undefined)
  }

  get takesNext(): boolean {
    return (
      this.#ask<Optional<boolean>>('takesNext', (worker) => worker.takesNext, isFlag, 'true or false', false) === true
    )
  }

  get roundTripMs(): number {
    return this.#ask<Optional<number>>('roundTripMs', (worker) => worker.roundTripMs, isMs, 'milliseconds', 0) ?? 0
  }

  get repeats(): Optional<boolean> {
    return this.#ask('repeats', (worker) => worker.repeats, isFlag, 'true or false', undefined)
  }

  get probed(): ModelWorker['probed'] {
    return this.#ask('probed', (worker) => worker.probed, isObjectOrNone, 'what was probed', undefined)
  }

  get scales(): ModelWorker['scales'] {
    return this.#ask('scales', (worker) => worker.scales, isListOrNone, 'numbers', undefined)
  }

  get hints(): ModelWorker['hints'] {
    return this.#ask('hints', (worker) => worker.hints, areHints, 'an object for each output', undefined)
  }

  get sequence(): ModelWorker['sequence'] {
    return this.#ask('sequence', (worker) => worker.sequence, isSequence, 'axes, or false', undefined)
  }

  get sharedMemory(): ModelWorker['sharedMemory'] {
    const make = this.#ask<ModelWorker['sharedMemory']>(
      'sharedMemory',
      (worker) => worker.sharedMemory,
      isFunctionOrNone,
      'a function',
      undefined,
    )
    return make && ((bytes) => this.#made(() => make.call(this.#worker, bytes), bytes))
  }

  #made(make: () => unknown, bytes: number): SharedArrayBuffer | undefined {
    try {
      const buffer = make()
      if (buffer === undefined) return undefined
      if (buffer instanceof SharedArrayBuffer && buffer.byteLength >= bytes) return buffer
      this.#complain('sharedMemory', `${bytes} bytes of shared memory`, buffer)
    } catch (error) {
      this.#failed('sharedMemory', error)
    }
    return undefined
  }

  get onFree(): ModelWorker['onFree'] {
    return this.#ask('onFree', (worker) => worker.onFree, isFunctionOrNone, 'a function', undefined)
  }

  set onFree(listener: ModelWorker['onFree']) {
    try {
      this.#worker.onFree = listener
    } catch (error) {
      this.#failed('onFree', error)
    }
  }

  infer(query: TensorList, options?: { signal?: AbortSignal }): Promise<TensorList> {
    return this.#worker.infer(query, options)
  }

  get inferBatch(): ModelWorker['inferBatch'] {
    const infer = this.#ask<ModelWorker['inferBatch']>(
      'inferBatch',
      (worker) => worker.inferBatch,
      isFunctionOrNone,
      'a function',
      undefined,
    )
    return infer && ((queries, options) => infer.call(this.#worker, queries, options))
  }

  get restart(): ModelWorker['restart'] {
    const restart = this.#ask<ModelWorker['restart']>(
      'restart',
      (worker) => worker.restart,
      isFunctionOrNone,
      'a function',
      undefined,
    )
    return restart && ((why) => restart.call(this.#worker, why))
  }

  async close(): Promise<void> {
    await this.#worker.close()
  }

  /** Returns the property's current value, or `otherwise` if the value is invalid or the getter throws. */
  #ask<T>(field: keyof ModelWorker, read: Read, fits: Fits, what: string, otherwise: T): T {
    if (this.#isAsked) return otherwise
    this.#isAsked = true
    try {
      const value = read(this.#worker)
      if (fits(value)) return value as T
      this.#complain(field, what, value)
    } catch (error) {
      this.#failed(field, error)
    } finally {
      this.#isAsked = false
    }
    return otherwise
  }

  #complain(field: string, what: string, got: unknown): void {
    if (this.#odd.has(field)) return
    this.#odd.add(field)
    this.#warn(`${this.name}: ${expected(field, what, got)}`)
  }

  #failed(field: string, error: unknown): void {
    if (this.#odd.has(field)) return
    this.#odd.add(field)
    this.#warn(`${this.name}: ${field} threw: ${textOf(error)}`)
  }
}

function textOf(error: unknown): string {
  return asError(error, 'WORKER').message
}
