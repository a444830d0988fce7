/** Options of HTTP workers, and their defaults. */

import {
  checkBoolean,
  checkFunction,
  checkInteger,
  checkLengths,
  checkNames,
  checkObject,
  checkShare,
  checkString,
  checkText,
  expected,
  MOST_MS,
} from '../../base/check'
import { type Clock, systemClock } from '../../base/clock'
import { guarded } from '../../base/notices'
import type { QueryTensors } from '../../base/tensor'
import type { Tls } from '../../platform/platform'

export interface ProbeOptions {
  /** As for `predict`. Default: numbers from 0 to 1, always the same; integers of 1 and 0, and 8 where a length may differ. */
  query?: QueryTensors
  /** How often it is asked. Default 30,000 ms. */
  everyMs?: number
  /**
   * How far two answers of one model may differ, root mean square, over the size of the answer: machines differ in the last bits.
   * Default 0.001.
   */
  rounding?: number
}

export interface HttpOptions {
  /** The model's name on the server. */
  model: string
  /** Its version. Default: whichever the server chooses; some refuse any. */
  version?: string
  /** The outputs to use. Default: all. */
  outputs?: readonly string[]
  /** Shapes, without the batch, of inputs and outputs whose metadata leaves lengths open, which may differ from query to query else. */
  shapes?: Readonly<Record<string, readonly number[]>>
  /** Whether tensors travel as raw bytes. Default 'auto': where the server answers a first query in raw bytes. */
  binary?: 'auto' | boolean
  /** Sent with every request, for instance `authorization`. */
  headers?: Readonly<Record<string, string>>
  /** Calls that the server is given at once: the worker's `slots`. Default: as many as pay, up to 256, which is measured. */
  concurrency?: number
  /**
   * Rows of several groups that the server may be given in one request, where its model and it take as many, which a first such query
   * tells; whether that pays the predictor finds out by itself. Default 16, less for large inputs.
   */
  maxBatch?: number
  /**
   * Whether the server ends its work on a request whose connection is closed, which then is done where another server has answered first.
   * Default false: it would be taken for free while it is at work.
   */
  interruptible?: boolean
  /** These servers are your own: what they answer is taken for the model's (see `verify.mode`). Default false. */
  trusted?: boolean
  /** How long a server may take to be reached and to answer a first query. Default 60,000 ms. */
  timeoutMs?: number
  /** How often an idle server is asked whether it is ready, which also keeps its connection. Default 3,000 ms. */
  healthMs?: number
  /**
   * A query whose answer tells one model from another: it is asked when a server is (re)connected and now and then, and one whose
   * answer is not what it was gets no rows. `false` for models that do not answer the same twice.
   */
  probe?: false | ProbeOptions
  /** Speaks HTTP instead of undici (Node) or the runtime's own fetch. */
  fetch?: typeof globalThis.fetch
  /** TLS settings, in Node. */
  tls?: Tls
  /** Told once per thing worth knowing. Default: console.warn. */
  onWarning?: (text: string) => void
  /** Time, for tests. Default: the system's. */
  clock?: Clock
}

export const httpOptions = [
  ...[
    'model',
    'version',
    'outputs',
    'shapes',
    'binary',
    'headers',
    'concurrency',
    'interruptible',
    'trusted',
    'maxBatch',
    'timeoutMs',
    'healthMs',
  ],
  ...['probe', 'fetch', 'tls', 'onWarning', 'clock'],
]

const MOST_ROWS = 16

export type HttpSettings = ReturnType<typeof checkHttpOptions>

/** @throws TypeError or RangeError naming the option, expected and got */
export function checkHttpOptions(options: HttpOptions) {
  checkNames('', options, httpOptions)
  const { model, version, binary = 'auto', probe = {}, fetch, onWarning = console.warn, headers = {} } = options
  checkText('model', model, "the model's name")
  if (version !== undefined) checkText('version', version)
  if (binary !== 'auto' && typeof binary !== 'boolean') {
    throw new TypeError(expected('binary', "'auto', true or false", binary))
  }
  if (fetch !== undefined) checkFunction('fetch', fetch)
  checkOutputs(options.outputs)
  checkTexts('headers', headers)
  if (options.tls !== undefined) {
    checkNames('tls', options.tls, ['servername', 'ca', 'cert', 'key'])
    checkTexts('tls', options.tls)
  }
  return {
    ...options,
    binary,
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
    shapes: checkShapes(options.shapes),
    probe: checkProbe(probe),
    interruptible: checkBoolean('interruptible', options.interruptible ?? false),
    trusted: checkBoolean('trusted', options.trusted ?? false),
    concurrency:
      options.concurrency === undefined ? undefined : checkInteger('concurrency', options.concurrency, 1, 1000),
    maxBatch: checkInteger('maxBatch', options.maxBatch ?? MOST_ROWS, 1, 1024),
    timeoutMs: checkInteger('timeoutMs', options.timeoutMs ?? 60_000, 1, MOST_MS),
    healthMs: checkInteger('healthMs', options.healthMs ?? 3000, 1, MOST_MS),
    warn: guarded(checkFunction('onWarning', onWarning)),
    clock: options.clock ?? systemClock,
  }
}

function checkOutputs(outputs: HttpOptions['outputs']): void {
  if (outputs === undefined) return
  const isList = Array.isArray(outputs) && outputs.length && outputs.every((name) => typeof name === 'string')
  if (!isList) throw new TypeError(expected('outputs', 'names of outputs', outputs))
  if (new Set(outputs).size < outputs.length) throw new RangeError(`outputs: expected every name once, got ${outputs}`)
}

function checkTexts(field: string, texts: object): void {
  for (const [name, value] of Object.entries(checkObject(field, texts))) checkString(`${field}.${name}`, value)
}

function checkShapes(shapes: HttpOptions['shapes'] = {}): NonNullable<HttpOptions['shapes']> {
  const named = Object.entries(checkObject('shapes', shapes, 'shapes by name'))
  for (const [name, shape] of named) checkLengths(`shapes.${name}`, shape)
  return shapes
}

/** Without a probe any two answers are alike, and nobody asks for one. */
function checkProbe(probe: unknown): { query?: QueryTensors | undefined; everyMs: number; rounding: number } {
  if (probe === false) return { everyMs: Number.POSITIVE_INFINITY, rounding: Number.POSITIVE_INFINITY }
  checkNames('probe', probe, ['query', 'everyMs', 'rounding'])
  const { query, everyMs = 30_000, rounding = 1e-3 } = probe as ProbeOptions
  checkShare('probe.rounding', rounding)
  return { query, everyMs: checkInteger('probe.everyMs', everyMs, 1, MOST_MS), rounding }
}
