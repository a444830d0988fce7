/** Makes a gateway of predictors: gateway.ts itself knows neither threads nor model files. */

import { platform } from '#platform'
import { checkText, expected } from '../base/check'
import { guarded, toConsole } from '../base/notices'
import type { PredictorEvent } from '../events'
import { createPredictor } from '../predictor/create'
import type { PredictorOptions } from '../predictor/options'
import { ownRequest } from '../predictor/own-request'
import { Predictor } from '../predictor/predictor'
import { mayRecall } from '../predictor/settings'
import { type Gateway, type GatewayOptions, gatewayOf } from './gateway'
import type { Recalling, Start, Started } from './models'
import { Recalls } from './recalls'
import type { Store } from './store'
import { textModelOf } from './text/model'
import type { TextOptions } from './text/options'

/**
 * A model to serve: options of a predictor with the name of this version of the model (default '1'); or a ready predictor, which the
 * gateway will close. `text` configures its interface for texts; `false` turns that off. Default: on if a `tokenizer.json` lies beside
 * the model.
 */
export type GatewayModel = (PredictorOptions & { version?: string; text?: TextOptions | false }) | Predictor

/**
 * Creates an inference server as a function from `Request` to `Response`, for any HTTP server: metadata, health and inference by the
 * Open Inference Protocol v2, JSON and binary; texts by the APIs of OpenAI's embeddings and of Text Embeddings Inference. Models start
 * at once; see `Gateway` for how to wait for, replace and unload them.
 * In workerd it serves only the request, or the Durable Object, that created it, and answers others 500.
 *
 * @throws TypeError, RangeError for a wrong option of the gateway; a wrong option of a model rejects `ready`
 */
export function createGateway(options: GatewayOptions<GatewayModel>): Gateway<GatewayModel> {
  const { onWarning } = options
  return gatewayOf(options, (...started) => start(onWarning, ...started), versionOf, ownRequest('the gateway'))
}

/**
 * A store for a gateway in Node, Deno or Bun: one file per model, each replaced atomically, so that a power failure leaves the old or the
 * new one.
 *
 * @param folder  created if missing. Several gateways may share it: the latest write wins
 */
export function fileStore(folder: string): Store {
  if (!platform.files) throw new Error('files: not on this runtime; write a store of your own')
  return platform.files(folder)
}

/** Starts a model's predictor. @param onWarning  the default for models without their own */
async function start(
  onWarning: ((text: string) => void) | undefined,
  ...[model, states, recalls]: Parameters<Start<GatewayModel>>
): Promise<Started> {
  if (model instanceof Predictor) return { predictor: model, text: 'it was given as a ready predictor' }
  const { version: _, text, ...own } = model
  const options = { ...(onWarning && { onWarning }), ...own, ...recallOptions(own, recalls) }
  const predictor = await createPredictor(states ? withStates(options, states) : options)
  try {
    const warn = guarded(options.onWarning ?? toConsole)
    return { predictor, text: await textModelOf(text, options.model, predictor.signature, warn) }
  } catch (error) {
    await predictor.close()
    throw error
  }
}

/** The option `onEvent` for a model that may recall answers: it collects recalls, and passes all events to the model's own listener. */
function recallOptions({ verify, onEvent }: PredictorOptions, recalling: Recalling): Pick<PredictorOptions, 'onEvent'> {
  if (!mayRecall({ verify })) return {}
  recalling.recalls ??= new Recalls()
  const { recalls } = recalling
  const tell = (event: PredictorEvent) => {
    if (event.event === 'recalled') recalls.add(event)
    return onEvent?.(event)
  }
  return onEvent === undefined || typeof onEvent === 'function' ? { onEvent: tell } : {} // the predictor will refuse the wrong type
}

function withStates(options: PredictorOptions, states: Readonly<Record<string, Uint8Array>>): PredictorOptions {
  const most = options.limits?.tenants ?? 1
  const named = Object.entries(states).filter(([name]) => name !== '')
  const known = [['', states[''] as Uint8Array] as const, ...(most > 1 ? named.slice(-most) : [])]
  const state = Object.fromEntries(known.filter(([, bytes]) => bytes))
  const memory = remembers(options) ? options.memory || {} : { bytes: 0 }
  return { ...options, memory: { ...memory, state } }
}

/** Whether it has a memory without a saved state, too. Otherwise only the workers' records are loaded: a state must not turn a memory on. */
function remembers({ memory, scheme, policy = scheme ? 'auto' : 'retry', reuse }: PredictorOptions): boolean {
  return memory === undefined ? policy !== 'retry' || reuse?.maxError !== undefined : memory !== false
}

function versionOf(model: GatewayModel): string {
  if (typeof model !== 'object' || model === null)
    throw new TypeError(expected('models', 'options of a predictor', model))
  const version = model instanceof Predictor ? '1' : (model.version ?? '1')
  return checkText('version', version)
}
