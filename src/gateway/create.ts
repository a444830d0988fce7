/** Composes a gateway with predictors, so that serving knows neither threads nor models. */

import { platform } from '#platform'
import { checkText, expected } from '../base/check'
import { guarded } from '../base/notices'
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
 * What is served under a name: options of a predictor, and what this version of the model is called (default '1'); or a ready
 * predictor, which the gateway closes. `text` says how it is asked with texts, and false that it is not; left out, it is if a
 * `tokenizer.json` lies beside the model.
 */
export type GatewayModel = (PredictorOptions & { version?: string; text?: TextOptions | false }) | Predictor

/**
 * An inference server as a function from `Request` to `Response`, for any HTTP server: metadata, health and inference by the Open
 * Inference Protocol v2, JSON and binary; texts as OpenAI's embeddings and Text Embeddings Inference take them. Models start at once;
 * see `Gateway` for how to wait for them, replace and end them.
 * In workerd it serves the request, or the Durable Object, that made it, and answers others 500.
 *
 * @throws TypeError, RangeError for a wrong option of its own; those of a model make `ready` reject
 */
export function createGateway(options: GatewayOptions<GatewayModel>): Gateway<GatewayModel> {
  const { onWarning } = options
  return gatewayOf(options, (...started) => start(onWarning, ...started), versionOf, ownRequest('the gateway'))
}

/**
 * A store of files, one a model, for a gateway in Node (Deno, Bun): whole or as they were before, whenever the power fails.
 *
 * @param folder  made if it is not there; several gateways may share it: of a model's states the one written last counts
 */
export function fileStore(folder: string): Store {
  if (!platform.files) throw new Error('files: not on this runtime; write a store of your own')
  return platform.files(folder)
}

/** @param onWarning  for models that have none of their own */
async function start(
  onWarning: ((text: string) => void) | undefined,
  ...[model, states, recalls]: Parameters<Start<GatewayModel>>
): Promise<Started> {
  if (model instanceof Predictor) return { predictor: model, text: 'it was given as a ready predictor' }
  const { version: _, text, ...own } = model
  const options = { ...(onWarning && { onWarning }), ...own, ...recallOptions(own, recalls) }
  const predictor = await createPredictor(states ? withStates(options, states) : options)
  try {
    const warn = guarded(options.onWarning ?? console.warn)
    return { predictor, text: await textModelOf(text, options.model, predictor.signature, warn) }
  } catch (error) {
    await predictor.close()
    throw error
  }
}

/** Who asks the gateway is told what is recalled, and the model's own listener hears of everything, if it has one. */
function recallOptions({ verify, onEvent }: PredictorOptions, recalling: Recalling): Pick<PredictorOptions, 'onEvent'> {
  if (!mayRecall({ verify })) return {}
  recalling.recalls ??= new Recalls()
  const { recalls } = recalling
  const tell = (event: PredictorEvent) => {
    if (event.event === 'recalled') recalls.add(event)
    return onEvent?.(event)
  }
  return onEvent === undefined || typeof onEvent === 'function' ? { onEvent: tell } : {} // it is refused
}

function withStates(options: PredictorOptions, states: Readonly<Record<string, Uint8Array>>): PredictorOptions {
  const most = options.limits?.tenants ?? 1
  const named = Object.entries(states).filter(([name]) => name !== '')
  const known = [['', states[''] as Uint8Array] as const, ...(most > 1 ? named.slice(-most) : [])]
  const state = Object.fromEntries(known.filter(([, bytes]) => bytes))
  const memory = options.memory === false ? { bytes: 0 } : options.memory
  return { ...options, memory: { ...memory, state } }
}

function versionOf(model: GatewayModel): string {
  if (typeof model !== 'object' || model === null)
    throw new TypeError(expected('models', 'options of a predictor', model))
  const version = model instanceof Predictor ? '1' : (model.version ?? '1')
  return checkText('version', version)
}
