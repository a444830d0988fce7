/** Workers on this machine: each is a thread or Web Worker, called over comlink, watched and restarted. */

import { platform } from '#platform'
import { aborted, onAbort, orAborted } from '../../base/abort'
import { checkInteger } from '../../base/check'
import { guarded, toConsole } from '../../base/notices'
import { read } from '../../base/option'
import { asModelError, fingerprintOf, type ModelFile, readModel } from '../onnx/model-file'
import { importOrt } from '../onnx/session'
import type { ModelWorker } from '../worker'
import { type LocalOptions, localOptions } from './options'
import { LocalWorker } from './worker'

/**
 * Most threads: 64, or 16 a core if that is more. Each takes 40 MB and a copy of the model: 500 threads on two cores took 20 GB
 * and froze the machine.
 */
const MOST_THREADS = 64
const THREADS_A_CORE = 16

/**
 * Starts workers that run the same model; they share its bytes where the runtime has shared memory. The first worker starts
 * alone, so that a model that cannot be loaded is reported once and costs one thread.
 *
 * @throws RangeError for more threads than allowed; ApproxiferError MODEL or WORKER, after closing the workers that had
 *   started; ABORTED by the signal
 */
export async function localWorkers(options: LocalOptions): Promise<ModelWorker[]> {
  const { signal, ...given } = read(localOptions, '', options)
  const count = checkInteger('workers', options.workers, 1, mostThreads())
  // A native addon cannot be loaded again after all threads that loaded it have exited: loading it in this thread prevents that.
  if (given.runtime === 'onnxruntime-node') await importOrt(given)
  if (signal?.aborted) throw aborted(signal)
  const reading = orAborted(signal, readModel(options.model, given.externalData))
  const file = shared(await reading.catch((error) => Promise.reject(signal?.aborted ? aborted(signal) : error)))
  const model = { file, fingerprint: fingerprintOf(file) }
  const { onWarning = toConsole } = given
  const workers = Array.from({ length: count }, (_, i) => new LocalWorker(`worker ${i}`, model, given))
  const [first, ...rest] = workers
  const end = () => Promise.all(workers.map((worker) => worker.close()))
  const forget = onAbort(signal, () => void end())
  try {
    // Only the first worker reports a silent script: all run the same script, and the others may merely be slow.
    await first.start(guarded(onWarning)).catch(async (error) => {
      throw await asModelError(error, options.model, file.bytes)
    })
    for (const warning of [...first.warnings, ...crowded(count)]) onWarning(warning)
    await Promise.all(rest.map((worker) => worker.start()))
  } catch (error) {
    const ended = end()
    if (signal?.aborted) throw aborted(signal)
    await ended
    throw error
  } finally {
    forget()
  }
  return workers
}

export function mostThreads(): number {
  return Math.max(MOST_THREADS, THREADS_A_CORE * (platform.cores ?? 1))
}

/** Copies the model into shared memory, if this runtime has it, so that the workers need no copies of their own. */
function shared({ bytes, weights, ...rest }: ModelFile): ModelFile {
  const others = Object.entries(weights).map(([name, data]) => [name, sharedBytes(data)] as const)
  return { ...rest, bytes: sharedBytes(bytes), weights: Object.fromEntries(others) }
}

function sharedBytes(bytes: Uint8Array): Uint8Array {
  const memory = platform.memory(bytes.byteLength)
  if (!memory || bytes.buffer instanceof SharedArrayBuffer) return bytes
  const copy = new Uint8Array(memory)
  copy.set(bytes)
  return copy
}

/** Warns about more threads than cores. */
function crowded(count: number): string[] {
  const { cores } = platform
  if (cores === undefined || count <= cores) return []
  const todo = 'they take turns; a code pays where workers are machines of their own'
  return [`workers: ${count} on ${cores} ${cores === 1 ? 'core' : 'cores'}: ${todo}`]
}
