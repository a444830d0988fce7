/** What `localWorkers` may be asked. */

import { checkSignal } from '../../base/abort'
import { checkFunction, MOST_MS } from '../../base/check'
import { any, callback, integer, open, option, type TableOf, type ValuesOf } from '../../base/option'
import type { OnnxOptions } from '../onnx/options'
import { onnxOptions } from '../onnx/options'

export interface ThreadOptions extends OnnxOptions {
  /** Calls that may wait in a worker behind the one that runs. Default 2. */
  maxPending?: number
  /** How long a worker may take to load and warm up. Default 60,000 ms. */
  startMs?: number
  /** Makes the thread (Node) or Web Worker (browser) to run `approxifer/worker` in, for bundlers that need to see it. */
  createWorker?: () => unknown
  /** Ends the start: it rejects with ABORTED, and its threads are no more. Means nothing once they have loaded. */
  signal?: AbortSignal
}

export interface LocalOptions extends ThreadOptions {
  /** The .onnx model: a path (Node), a URL, or its bytes. */
  model: string | URL | Uint8Array
  /** How many workers: at most 64, or 16 a core. */
  workers: number
  /** Told once per thing worth knowing: about the model, or a worker script that keeps silent. Default: console.warn. */
  onWarning?: (text: string) => void
}

export const threadOptions = {
  ...onnxOptions,
  createWorker: open(
    (field, value) => checkFunction(field, value, 'a function that makes a worker') as () => unknown,
    'as the runtime does it',
    'makes a thread or Web Worker: see [bundlers.md](bundlers.md)',
  ),
  signal: open(checkSignal, 'none', 'when it fires, the start ends with ABORTED'),
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
