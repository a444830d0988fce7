/** Options of `localWorkers`. */

import { checkSignal } from '../../base/abort'
import { checkFunction, MOST_MS } from '../../base/check'
import { any, callback, integer, open, option, type TableOf, type ValuesOf } from '../../base/option'
import type { OnnxOptions } from '../onnx/options'
import { onnxOptions } from '../onnx/options'

export interface ThreadOptions extends OnnxOptions {
  /** Calls that may wait in a worker behind the running one. Default 2. */
  maxPending?: number
  /** Longest time in milliseconds for loading the model and running it once. Default 60,000. */
  startMs?: number
  /** Makes the thread (Node) or Web Worker (browser) that runs `approxifer/worker`, for bundlers that must see the constructor call. */
  createWorker?: () => unknown
  /** Aborts the start: it rejects with ABORTED, and its threads are stopped. Has no effect once the workers have started. */
  signal?: AbortSignal
}

export interface LocalOptions extends ThreadOptions {
  /** The .onnx model: a path (Node), a URL, or its bytes. */
  model: string | URL | Uint8Array
  /** How many workers: at most 64, or 16 a core. */
  workers: number
  /** Called with each warning about the model or a worker script that does not respond. Default: console.warn. */
  onWarning?: (text: string) => void
}

export const threadOptions = {
  ...onnxOptions,
  createWorker: open(
    (field, value) => checkFunction(field, value, 'a function that makes a worker') as () => unknown,
    'as the runtime does it',
    'a function that makes a thread or Web Worker: see [bundlers](bundlers.md)',
  ),
  signal: open(checkSignal, 'none', 'an `AbortSignal`; when it fires, the start ends with ABORTED'),
  startMs: option(integer(1, MOST_MS), 60_000, 'time for a worker to load the model and run it once'),
} satisfies TableOf<Omit<ThreadOptions, 'maxPending'>>

export const localOptions = {
  model: open(any<LocalOptions['model']>, '', 'path, URL or bytes of an .onnx file'),
  workers: open(any<number>, '', 'how many'),
  ...threadOptions,
  maxPending: option(integer(0), 2, 'calls that may wait behind the one that runs'),
  onWarning: open(callback<(text: string) => void>, '`console.warn`', 'told once per thing worth knowing'),
} satisfies TableOf<LocalOptions>

export type ThreadSettings = Omit<ValuesOf<typeof localOptions>, 'model' | 'workers' | 'onWarning' | 'signal'>
