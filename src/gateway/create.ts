/** Composes a gateway with predictors, so that serving knows neither threads nor models. */

import { platform } from '#platform'
import { checkText, expected } from '../check'
import { ownRequest } from '../own-request'
import { createPredictor } from '../predictor/create'
import type { PredictorOptions } from '../predictor/options'
import { Predictor } from '../predictor/predictor'
import { type Gateway, type GatewayOptions, gatewayOf } from './gateway'
import type { Store } from './models'

/**
 * What is served under a name: options of a predictor, and what this version of the model is called (default '1'); or a ready
 * predictor, which the gateway closes.
 */
export type GatewayModel = (PredictorOptions & { version?: string }) | Predictor

/**
 * An inference server as a function from `Request` to `Response`, for any HTTP server: metadata, health and inference by the Open
 * Inference Protocol v2, JSON and binary. Models start at once; see `Gateway` for how to wait for them, replace and end them.
 * In workerd it serves the request, or the Durable Object, that made it, and answers others 500.
 *
 * @throws TypeError, RangeError for a wrong option of its own; those of a model make `ready` reject
 */
export function createGateway(options: GatewayOptions<GatewayModel>): Gateway<GatewayModel> {
  const { onWarning } = options
  return gatewayOf(options, (model, states) => start(model, states, onWarning), versionOf, ownRequest('the gateway'))
}

/**
 * A store of files, one a model, for a gateway in Node (Deno, Bun): whole or as they were before, whenever the power fails.
 *
 * @param folder  made if it is not there; for one process at a time
 */
export function fileStore(folder: string): Store {
  if (!platform.files) throw new Error('files: not on this runtime; write a store of your own')
  return platform.files(folder)
}

/** @param onWarning  for models that have none of their own */
async function start(
  model: GatewayModel,
  states: Readonly<Record<string, Uint8Array>> | undefined,
  onWarning: ((text: string) => void) | undefined,
): Promise<Predictor> {
  if (model instanceof Predictor) return model
  const { version: _, ...own } = model
  const options = onWarning ? { onWarning, ...own } : own
  if (!states) return createPredictor(options)
  const most = options.limits?.tenants ?? 1
  const named = Object.entries(states).filter(([name]) => name !== '')
  const known = [['', states[''] as Uint8Array] as const, ...(most > 1 ? named.slice(-most) : [])]
  const state = Object.fromEntries(known.filter(([, bytes]) => bytes))
  const memory = options.memory === false ? { bytes: 0 } : options.memory
  return createPredictor({ ...options, memory: { ...memory, state, unfit: 'forget' } })
}

function versionOf(model: GatewayModel): string {
  if (typeof model !== 'object' || model === null)
    throw new TypeError(expected('models', 'options of a predictor', model))
  const version = model instanceof Predictor ? '1' : (model.version ?? '1')
  return checkText('version', version)
}
