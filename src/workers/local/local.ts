/** Workers on this machine: one thread or Web Worker each, over comlink, watched and restarted. */

import { platform } from '#platform'
import { aborted, onAbort, orAborted } from '../../base/abort'
import { checkInteger } from '../../base/check'
import { guarded } from '../../base/notices'
import { read } from '../../base/option'
import { asModelError, fingerprintOf, type ModelFile, readModel } from '../onnx/model-file'
import { importOrt } from '../onnx/session'
import type { ModelWorker } from '../worker'
import { type LocalOptions, localOptions } from './options'
import { LocalWorker } from './worker'

/** Each takes 40 MB and a model: 500 on two cores took 20 GB, and the machine stood still. */
const MOST_THREADS = 64
const THREADS_A_CORE = 16

/**
 * Starts workers, all with the same model bytes, shared where the runtime can. The first one starts alone:
 * a model that does not load is reported once and costs one thread.
 *
 * @throws RangeError for more threads than the machine can have; ApproxiferError MODEL or WORKER, after closing what had started; ABORTED by the signal
 */
export async function localWorkers(options: LocalOptions): Promise<ModelWorker[]> {
  const { signal, ...given } = read(localOptions, '', options)
  const count = checkInteger('workers', options.workers, 1, mostThreads())
  // Native code that all its threads have left does not load again: this one keeps it.
  if (given.runtime === 'onnxruntime-node') await importOrt(given)
  if (signal?.aborted) throw aborted(signal)
  const reading = orAborted(signal, readModel(options.model, given.externalData))
  const file = shared(await reading.catch((error) => Promise.reject(signal?.aborted ? aborted(signal) : error)))
  const model = { file, fingerprint: fingerprintOf(file) }
  const { onWarning = console.warn } = given
  const workers = Array.from({ length: count }, (_, i) => new LocalWorker(`worker ${i}`, model, given))
  const [first, ...rest] = workers
  const end = () => Promise.all(workers.map((worker) => worker.close()))
  const forget = onAbort(signal, () => void end())
  try {
    // The script of one tells of all: the others may merely be slow.
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

/** The same where several workers can read it without a copy each, if this runtime can. */
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

/** Threads that share cores answer later than fewer would. */
function crowded(count: number): string[] {
  const { cores } = platform
  if (cores === undefined || count <= cores) return []
  const todo = 'they take turns; a code pays where workers are machines of their own'
  return [`workers: ${count} on ${cores} ${cores === 1 ? 'core' : 'cores'}: ${todo}`]
}
