/** Options of `localWorkers`. */

import { checkSignal } from '../../base/abort'
import { checkFunction, MOST_MS } from '../../base/check'
import { any, callback, integer, open, option, type TableOf, type ValuesOf } from '../../base/option'
import type { OnnxOptions } from '../onnx/options'
import { onnxOptions } from '../onnx/options'

export interface ThreadOptions extends OnnxOptions {
  maxPending?: number
  startMs?: number
  createWorker?: () => unknown
  signal?: AbortSignal
}

export interface LocalOptions extends ThreadOptions {
  model: string | URL | Uint8Array
  workers: number
  onWarning?: (text: string) => void
}

export const threadOptions = {
  ...onnxOptions,
  createWorker: open(
    (field, value) => checkFunction(field, value, 'a function that makes a worker') as () => unknown,
    'as the runtime does it',
    'a function that makes the thread (Node) or Web Worker that runs `approxifer/worker`: see [bundlers](bundlers.md)',
  ),
  signal: open(
    checkSignal,
    'none',
    'an `AbortSignal`; when it fires, the start rejects with ABORTED and its threads are stopped',
  ),
  startMs: option(integer(1, MOST_MS), 60_000, 'longest time for a worker to load the model and run it once'),
} satisfies TableOf<Omit<ThreadOptions, 'maxPending'>>

export const localOptions = {
  model: open(any<LocalOptions['model']>, '', 'path (Node), URL or bytes of an .onnx file'),
  workers: open(any<number>, '', 'how many: at most 64, or 16 a core'),
  ...threadOptions,
  maxPending: option(integer(0), 2, 'calls that may wait behind the one that runs'),
  onWarning: open(
    callback<(text: string) => void>,
    '`console.warn`',
    'called with each warning about the model, or about a worker script that does not respond',
  ),
} satisfies TableOf<LocalOptions>

export type ThreadSettings = Omit<ValuesOf<typeof localOptions>, 'model' | 'workers' | 'onWarning' | 'signal'>
