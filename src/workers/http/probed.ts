/** The probe query, and the saved form of its answer, by which a later process recognises the model of a saved state. */

import { checksum } from '../../base/checksum'
import { isReal, realsOf } from '../../base/element'
import { probeQuery } from '../../base/probe-query'
import * as saved from '../../base/saved'
import { type AnyTensor, type Signature, type TensorList, toTensors } from '../../base/tensor'
import { toRaw } from '../../oip/elements'
import { isClose, type ModelIdentity } from '../remote/model'
import type { ModelWorker } from '../worker'
import type { HttpSettings } from './options'

/** Saved values of an answer, over all outputs: enough to tell models apart, and small beside the saved state. */
const MOST_VALUES = 4096

/** The saved form of an output: at most MOST_VALUES real numbers, evenly spaced; NaN and Inf as strings. */
interface SavedOutput {
  shape: string
  /** A checksum, if the values are not real and must be equal. */
  values: (number | string)[] | string
}

export function queryFor(signature: Signature, { query }: HttpSettings['probe']): TensorList {
  return query === undefined ? probeQuery(signature) : toTensors(query, signature.inputs)
}

/** Sends the probe query to a worker that is no HTTP server. @throws the worker's errors */
export async function identityOf(worker: ModelWorker, probe: HttpSettings['probe']): Promise<ModelIdentity> {
  const { signature, fingerprint } = worker
  return { signature, fingerprint, answer: await worker.infer(queryFor(signature, probe)) }
}

/** The model's saved form, compared with the fleet's tolerance; undefined if answers may vary (`probe: false`). */
export function probedOf(model: ModelIdentity, probe: HttpSettings['probe']): saved.Probed | undefined {
  const { rounding } = probe
  if (rounding === Number.POSITIVE_INFINITY) return undefined
  const { signature, answer, fingerprint } = model
  const query = queryFor(signature, probe)
    .map(({ data }) => checksum(toRaw(data)))
    .join()
  const most = Math.ceil(MOST_VALUES / answer.length)
  const outputs = answer.map((tensor) => savedOf(tensor, most))
  return {
    fingerprint,
    saved: { query, outputs },
    isOf(value, warn) {
      const before = value === undefined ? {} : saved.object('model.probed', value, ['query', 'outputs'])
      if (before.query !== query) {
        warn?.('the saved state does not name its model: it is used for this one')
        return false
      }
      const others = saved.list('model.probed.outputs', before.outputs, outputs.length, outputs.length)
      if (outputs.every((own, i) => isSame(own, others[i], rounding))) return true
      throw saved.refused('model.probed', "this model's answer to the probe query", 'another')
    },
  }
}

function savedOf({ type, data, shape }: AnyTensor, most: number): SavedOutput {
  if (!isReal(type)) return { shape: String(shape), values: checksum(toRaw(data)) }
  const reals = realsOf(type ?? 'float32', data)
  const length = Math.min(most, reals.length)
  const values = Array.from({ length }, (_, i) => reals[Math.floor((i * reals.length) / length)])
  return { shape: String(shape), values: values.map((value) => (Number.isFinite(value) ? value : String(value))) }
}

function isSame({ shape, values }: SavedOutput, value: unknown, rounding: number): boolean {
  const field = 'model.probed.outputs'
  const other = saved.object(field, value, ['shape', 'values'])
  if (other.shape !== shape) return false
  if (typeof values === 'string') return other.values === values
  const { MAX_VALUE } = Number
  const others = saved
    .list(field, other.values, values.length, values.length)
    .map((each) => (typeof each === 'string' ? Number(each) : saved.number(field, each, -MAX_VALUE, MAX_VALUE)))
  return isClose(values.map(Number), others, rounding)
}
