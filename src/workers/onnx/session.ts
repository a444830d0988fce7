/** Imports an ONNX runtime and opens inference sessions. */

import type { InferenceSession } from 'onnxruntime-web'
import { platform } from '#platform'
import { ApproxiferError, asError } from '../../base/errors'
import type { Ort, Runtime } from '../../platform/platform'
import type { ModelFile } from './model-file'
import type { OnnxOptions } from './options'

/** The first version whose sessions report input shapes. */
const OLDEST = '1.22'

const runtimeOf = ({ runtime = 'onnxruntime-web' }: OnnxOptions): Runtime => runtime

export function providersOf(options: OnnxOptions): string[] {
  return [...(options.providers ?? [runtimeOf(options) === 'onnxruntime-node' ? 'cpu' : 'wasm'])]
}

/** Imports the chosen runtime. @throws ApproxiferError MODEL if it is not installed */
export async function importOrt(options: OnnxOptions): Promise<Ort> {
  const runtime = runtimeOf(options)
  try {
    return await platform.importOrt(runtime, providersOf(options))
  } catch (error) {
    if (error instanceof RangeError) throw asError(error, 'MODEL') // it is installed, but lacks a provider, or WebAssembly is forbidden
    const todo = `${runtime} cannot be imported; install it beside approxifer (npm install ${runtime})`
    throw new ApproxiferError('MODEL', `${todo}: ${(error as Error).message}`, { cause: error })
  }
}

/** @throws ApproxiferError MODEL */
export async function openSession(ort: Ort, model: ModelFile, options: OnnxOptions): Promise<InferenceSession> {
  const runtime = runtimeOf(options)
  const executionProviders = providersOf(options)
  // Native code cannot read shared memory.
  const own = (bytes: Uint8Array) => (runtime === 'onnxruntime-node' ? new Uint8Array(bytes) : bytes)
  const externalData = Object.entries(model.weights).map(([path, bytes]) => ({ path, data: own(bytes) }))
  // Parallelism comes from several workers, with one session each.
  const threads = { intraOpNumThreads: 1, interOpNumThreads: 1 }
  const settings = { executionProviders, ...threads, ...(externalData.length && { externalData }) }
  let session: InferenceSession
  try {
    session = await ort.InferenceSession.create(own(model.bytes), settings)
  } catch (error) {
    const where = options.providers ? ` with providers ${executionProviders} of ${runtime}` : ''
    const why = await unfetched(options)
    if (why) throw new ApproxiferError('MODEL', `the runtime cannot be loaded from ${why}`, { cause: error })
    throw asError(error, 'MODEL', `the model cannot be loaded${where}: `)
  }
  if (session.inputMetadata) return session
  await session.release().catch(() => {})
  const todo = `npm install ${runtime}@latest`
  throw new ApproxiferError('MODEL', `${runtime}: expected >= ${OLDEST}, got ${ort.env.versions.common}; ${todo}`)
}

/** Why a page cannot load the runtime's files from the URLs of `wasmPaths`: the runtime itself does not say. */
async function unfetched({ wasmPaths }: OnnxOptions): Promise<string | undefined> {
  const urls = typeof wasmPaths === 'object' ? Object.values(wasmPaths) : wasmPaths === undefined ? [] : [wasmPaths]
  for (const url of urls) {
    const why = await platform.whyBlocked?.(String(url), { isSimple: true })
    if (why) return `'${url}': ${why}`
  }
}
