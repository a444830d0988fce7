/** Options of HTTP workers, and their defaults. */

import { platform } from '#platform'
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
import { guarded, toConsole } from '../../base/notices'
import type { QueryTensors } from '../../base/tensor'
import type { Tls } from '../../platform/platform'
import { connectionLimit } from '../connection-limit'

export interface ProbeOptions {
  /** As for `predict`. Default: fixed numbers from 0 to 1; integers 0 and 1; dynamic lengths are 8. */
  query?: QueryTensors
  /** Interval of the probe in milliseconds. Default 30,000. */
  everyMs?: number
  /**
   * How far two answers of one model may differ, as root mean square relative to that of the answer, since machines round differently.
   * Default 0.001.
   */
  rounding?: number
}

export interface HttpOptions {
  /** The model's name on the server. */
  model: string
  /** The model's version. Default: the server's choice; some servers accept none. */
  version?: string
  /** The outputs to use. Default: all. */
  outputs?: readonly string[]
  /** Shapes, without the batch, for inputs and outputs whose lengths are dynamic. Default: their lengths may differ from query to query. */
  shapes?: Readonly<Record<string, readonly number[]>>
  /** Whether tensors are sent as raw bytes. Default 'auto': if `GET /v2` lists the extension `binary_tensor_data`. */
  binary?: 'auto' | boolean
  /** Headers of every request, for instance `authorization`. */
  headers?: Readonly<Record<string, string>>
  /** Concurrent calls to the server: the worker's `slots`. Default: measured, up to 256. */
  concurrency?: number
  /**
   * Queries of several groups that the server may get in one request, if a first such request works; the predictor then measures whether
   * batches pay. Default 16, fewer for large inputs.
   */
  maxBatch?: number
  /**
   * Whether the server stops an inference when the connection is closed. Connections are then closed when another server has answered
   * first. Default false, since such a server would count as free while it still computes.
   */
  interruptible?: boolean
  /** Whether these servers are your own, so that their answers are taken for the model's (see `verify.mode`). Default false. */
  trusted?: boolean
  /** Milliseconds that a server may take to be reached and to answer a first query. Default 60,000. */
  timeoutMs?: number
  /** Interval of readiness checks of an idle server in milliseconds, which also keep its connection open. Default 3,000. */
  healthMs?: number
  /**
   * A query whose answer identifies the model. It is sent when a server is (re)connected and at intervals; a server whose answer has
   * changed gets no queries. `false` for models whose answers vary.
   */
  probe?: false | ProbeOptions
  /** Used for HTTP instead of undici (Node) or the runtime's own fetch (elsewhere). */
  fetch?: typeof globalThis.fetch
  /** TLS settings; browsers and edges have none. */
  tls?: Tls
  /** Called with each warning, and the name of the worker if it is about one. Default: console.warn. */
  onWarning?: (text: string, worker?: string) => void
  /** The clock, for tests. Default: the system's. */
  clock?: Clock
}

export const httpOptions = [
  ...['model', 'version', 'outputs', 'shapes', 'binary', 'headers', 'concurrency', 'interruptible', 'trusted'],
  ...['maxBatch', 'timeoutMs', 'healthMs', 'probe', 'fetch', 'tls', 'onWarning', 'clock'],
]

const MOST_ROWS = 16

export type HttpSettings = ReturnType<typeof checkHttpOptions>

/** @throws TypeError or RangeError naming the option, expected and got */
export function checkHttpOptions(options: HttpOptions) {
  checkNames('', options, httpOptions)
  const { model, version, binary = 'auto', probe = {}, fetch, onWarning = toConsole, headers = {} } = options
  checkText('model', model, "the model's name")
  if (version !== undefined) checkText('version', version)
  if (binary !== 'auto' && typeof binary !== 'boolean') {
    throw new TypeError(expected('binary', "'auto', true or false", binary))
  }
  if (fetch !== undefined) checkFunction('fetch', fetch)
  checkOutputs(options.outputs)
  checkTexts('headers', headers)
  if (options.tls !== undefined) {
    if (!platform.connect)
      throw new TypeError("tls: expected none on this runtime, whose 'fetch' takes no such settings")
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
    connections: connectionLimit(platform),
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

/** Without a probe all answers count as equal, and none is requested again. */
function checkProbe(probe: unknown): { query?: QueryTensors | undefined; everyMs: number; rounding: number } {
  if (probe === false) return { everyMs: Number.POSITIVE_INFINITY, rounding: Number.POSITIVE_INFINITY }
  checkNames('probe', probe, ['query', 'everyMs', 'rounding'])
  const { query, everyMs = 30_000, rounding = 1e-3 } = probe as ProbeOptions
  checkShare('probe.rounding', rounding)
  return { query, everyMs: checkInteger('probe.everyMs', everyMs, 1, MOST_MS), rounding }
}
