/**
 * Wraps a worker of unknown origin for the predictor: every property that a worker reports is read and checked here. A property's
 * getter may throw or change its answer. Properties that tell workers apart are read once, when the worker joins. The others are
 * checked at each read; a wrong value causes one warning and is replaced by a safe default.
 */

import { checkBoolean, checkFunction, checkInteger, checkString, expected, isObject } from '../base/check'
import { asError } from '../base/errors'
import type { Warn } from '../base/notices'
import type { Signature, TensorList } from '../base/tensor'
import type { ConnectionLimit } from './connection-limit'
import { checkSpecs, type ModelWorker } from './worker'

type Optional<T> = T | undefined
type Fits = (value: unknown) => boolean
/** A valid value of a property: its description in warnings, and a test. */
type Valid = readonly [what: string, fits: Fits]

const optional = (what: string, fits: Fits): Valid => [what, (value) => value === undefined || fits(value)]
const isNumber: Fits = (value) => typeof value === 'number'

const FREE: Valid = ['true or false', (value) => typeof value === 'boolean']
const FLAG = optional(...FREE)
const TEXT = optional('a string', (value) => typeof value === 'string')
const MS = optional('milliseconds', (value) => Number.isFinite(value) && (value as number) >= 0)
const COUNT = optional('an integer >= 1', (value) => Number.isSafeInteger(value) && (value as number) >= 1)
const FUNCTION = optional('a function', (value) => typeof value === 'function')
const CONNECTIONS = optional('a limit of connections', (value) => typeof (value as ConnectionLimit).wait === 'function')
const PROBED = optional('an object', isObject)
const SCALES = optional('numbers', (value) => Array.isArray(value) && value.every(isNumber))
const HINTS = optional('an object for each output', (value) => Array.isArray(value) && value.every(isObject))
const SEQUENCE = optional('axes, or false', (value) => value === false || isObject(value))

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
  readonly #reported = new Set<string>()
  /** True while a getter of the worker runs. A getter that reads the wrapper again gets the default, so it cannot recurse for ever. */
  #isReading = false
  #slots = 1

  /**
   * @param field  path of the worker in error messages
   * @param warn  called with each warning; must not throw
   * @throws TypeError or RangeError if the object does not implement ModelWorker
   */
  constructor(field: string, worker: ModelWorker, warn: Warn) {
    try {
      checkFunction(`${field}.infer`, worker?.infer)
      const { name, identity, signed, trusted, origin, signature, fingerprint, slots = 1, maxBatch = 1 } = worker
      this.name = checkString(`${field}.name`, name)
      if (!('free' in worker)) throw new TypeError(expected(`${field}.free`, 'true or false', undefined))
      checkInteger(`${field}.slots`, slots, 1)
      if (checkInteger(`${field}.maxBatch`, maxBatch, 1) > 1)
        checkFunction(`${field}.inferBatch`, worker.inferBatch, 'a function, since maxBatch is above 1')
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
    return this.#read('free', (worker) => worker.free, FREE, false)
  }

  get gone(): boolean {
    return this.#read('gone', (worker) => worker.gone, FLAG, false) === true
  }

  get slots(): number {
    this.#slots = this.#read('slots', (worker) => worker.slots, COUNT, this.#slots) ?? 1
    return this.#slots
  }

  get sleep(): ModelWorker['sleep'] {
    const sleep = this.#read('sleep', (worker) => worker.sleep, FUNCTION)
    return sleep && ((isAsleep) => sleep.call(this.#worker, isAsleep))
  }

  get maxBatch(): number {
    return (this.inferBatch && this.#read('maxBatch', (worker) => worker.maxBatch, COUNT, 1)) ?? 1
  }

  get modelId(): Optional<string> {
    return this.#read('modelId', (worker) => worker.modelId, TEXT)
  }

  get connections(): ModelWorker['connections'] {
    return this.#read('connections', (worker) => worker.connections, CONNECTIONS)
  }

  get interruptible(): Optional<boolean> {
    return this.#read('interruptible', (worker) => worker.interruptible, FLAG)
  }

  get takesNext(): boolean {
    return this.#read('takesNext', (worker) => worker.takesNext, FLAG, false) === true
  }

  get roundTripMs(): number {
    return this.#read('roundTripMs', (worker) => worker.roundTripMs, MS, 0) ?? 0
  }

  get repeats(): Optional<boolean> {
    return this.#read('repeats', (worker) => worker.repeats, FLAG)
  }

  get probed(): ModelWorker['probed'] {
    return this.#read('probed', (worker) => worker.probed, PROBED)
  }

  get scales(): ModelWorker['scales'] {
    return this.#read('scales', (worker) => worker.scales, SCALES)
  }

  get hints(): ModelWorker['hints'] {
    return this.#read('hints', (worker) => worker.hints, HINTS)
  }

  get sequence(): ModelWorker['sequence'] {
    return this.#read('sequence', (worker) => worker.sequence, SEQUENCE)
  }

  get sharedMemory(): ModelWorker['sharedMemory'] {
    const make = this.#read('sharedMemory', (worker) => worker.sharedMemory, FUNCTION)
    return make && ((bytes) => this.#made(() => make.call(this.#worker, bytes), bytes))
  }

  #made(make: () => unknown, bytes: number): SharedArrayBuffer | undefined {
    try {
      const buffer = make()
      if (buffer === undefined) return undefined
      if (buffer instanceof SharedArrayBuffer && buffer.byteLength >= bytes) return buffer
      this.#complain('sharedMemory', expected('sharedMemory', `${bytes} bytes of shared memory`, buffer))
    } catch (error) {
      this.#complain('sharedMemory', `sharedMemory threw: ${textOf(error)}`)
    }
    return undefined
  }

  get onFree(): ModelWorker['onFree'] {
    return this.#read('onFree', (worker) => worker.onFree, FUNCTION)
  }

  set onFree(listener: ModelWorker['onFree']) {
    try {
      this.#worker.onFree = listener
    } catch (error) {
      this.#complain('onFree', `onFree threw: ${textOf(error)}`)
    }
  }

  infer(query: TensorList, options?: { signal?: AbortSignal }): Promise<TensorList> {
    return this.#worker.infer(query, options)
  }

  get inferBatch(): ModelWorker['inferBatch'] {
    const infer = this.#read('inferBatch', (worker) => worker.inferBatch, FUNCTION)
    return infer && ((queries, options) => infer.call(this.#worker, queries, options))
  }

  get restart(): ModelWorker['restart'] {
    const restart = this.#read('restart', (worker) => worker.restart, FUNCTION)
    return restart && ((why) => restart.call(this.#worker, why))
  }

  async close(): Promise<void> {
    await this.#worker.close()
  }

  /**
   * Returns the property's current value, or `otherwise` if the value is invalid or the getter throws.
   *
   * @param read  reads the property by its name; `worker[field]` with a varying field takes several times as long
   */
  #read<K extends keyof ModelWorker>(
    field: K,
    read: (worker: ModelWorker) => ModelWorker[K],
    [what, fits]: Valid,
    otherwise?: ModelWorker[K],
  ): ModelWorker[K] {
    if (this.#isReading) return otherwise as ModelWorker[K]
    this.#isReading = true
    try {
      const value = read(this.#worker)
      if (fits(value)) return value
      this.#complain(field, expected(field, what, value))
    } catch (error) {
      this.#complain(field, `${field} threw: ${textOf(error)}`)
    } finally {
      this.#isReading = false
    }
    return otherwise as ModelWorker[K]
  }

  #complain(field: string, text: string): void {
    if (this.#reported.has(field)) return
    this.#reported.add(field)
    this.#warn(`${this.name}: ${text}`)
  }
}

function textOf(error: unknown): string {
  return asError(error, 'WORKER').message
}
