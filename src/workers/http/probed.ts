/** The probe query, and what its answer tells of a model later: whether saved state is of it. */

import { checksum } from '../../base/checksum'
import { isReal, realsOf } from '../../base/element'
import { probeQuery } from '../../base/probe-query'
import * as saved from '../../base/saved'
import { type AnyTensor, type Signature, type TensorList, toTensors } from '../../base/tensor'
import { toRaw } from '../../oip/elements'
import { isClose, type ModelIdentity } from '../remote/model'
import type { ModelWorker } from '../worker'
import type { HttpSettings } from './options'

/** Of an answer, all outputs together: enough to tell models apart, and little beside what is learned. */
const MOST_VALUES = 4096

/** What is saved of an output: `MOST_VALUES` real numbers at most, evenly over all of them; NaN and Inf as texts. */
interface SavedOutput {
  shape: string
  /** A checksum where they have to be equal. */
  values: (number | string)[] | string
}

export function queryFor(signature: Signature, { query }: HttpSettings['probe']): TensorList {
  return query === undefined ? probeQuery(signature) : toTensors(query, signature.inputs)
}

/** As a server is asked. @throws what the worker throws */
export async function identityOf(worker: ModelWorker, probe: HttpSettings['probe']): Promise<ModelIdentity> {
  const { signature, fingerprint } = worker
  return { signature, fingerprint, answer: await worker.infer(queryFor(signature, probe)) }
}

/** Compared as a fleet's models are; undefined where these need not answer the same twice. */
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
        warn?.('the saved state does not say of which model it is: it is taken for this one')
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
