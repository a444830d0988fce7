/** The identity of a server's model, as far as it can be observed from outside, and comparisons of such identities. */

import { checksum } from '../../base/checksum'
import { filled, isEqual, isReal, realsOf } from '../../base/element'
import type { AnyTensor, Signature, TensorList } from '../../base/tensor'

/** A model as observed: its signature and its answer to the probe query. */
export interface ModelIdentity {
  readonly signature: Signature
  /** The answer to the probe query. */
  readonly answer: TensorList
  /** The fingerprint that the server reports. */
  readonly fingerprint?: string | undefined
  /** The fleet's name for the model, where it may have several. */
  readonly name?: string | undefined
}

/** Names the models of a fleet: by the fingerprint that the first server reports, else by a checksum of the answer. */
export class ModelNames {
  readonly #known: { readonly model: ModelIdentity; name: string }[] = []

  constructor(private readonly isSame: (a: ModelIdentity, b: ModelIdentity) => boolean) {}

  of(model: ModelIdentity): string {
    const known = this.#known.find((each) => this.isSame(each.model, model))
    if (known) return known.name
    const { fingerprint, answer } = model
    const name =
      fingerprint ??
      checksum(
        new TextEncoder().encode(JSON.stringify(answer.map(({ data }) => Array.from<unknown>(data).map(String)))),
      )
    this.#known.push({ model, name })
    if (this.#known.length > MOST_NAMES) this.#known.shift()
    return name
  }

  /** Renames a model by its own fingerprint. */
  learn(model: ModelIdentity): void {
    const known = this.#known.find((each) => this.isSame(each.model, model))
    if (known) known.name = model.fingerprint ?? known.name
    else this.of(model)
  }
}

/** An output whose root mean square is below this counts as zero. */
const NEGLIGIBLE = 1e-6

/** Models whose names are remembered: a model with random answers gets a new name at each examination. */
const MOST_NAMES = 100

/** For each `n` from 2 on another valid query, derived from the probe query. Strings are not changed. */
export function anotherQuery(query: TensorList, n: number): TensorList {
  return query.map((tensor) => {
    const { type = 'float32', data } = tensor
    if (type === 'string') return tensor
    const reals = realsOf(type, data)
    const value = (i: number) => (isReal(type) ? reals[i] / n : ((i >> (n % 8)) + n) % 2)
    return { ...tensor, data: filled(type, data.length, value) }
  })
}

/** @param rounding  how far real outputs may differ, as root mean square relative to their own. Infinity: only signatures are compared */
export function isSameModel(a: ModelIdentity, b: ModelIdentity, rounding: number): boolean {
  if (JSON.stringify(a.signature) !== JSON.stringify(b.signature)) return false
  if (rounding === Number.POSITIVE_INFINITY) return true // Infinity times an output of zeros would be NaN
  return a.answer.every((tensor, i) => isSameOutput(tensor, b.answer[i], rounding))
}

function isSameOutput({ type, data, shape }: AnyTensor, other: AnyTensor, rounding: number): boolean {
  if (String(shape) !== String(other.shape)) return false
  if (!isReal(type)) return isEqual(data, other.data)
  const [own, theirs] = [data, other.data].map((values) => realsOf(type ?? 'float32', values))
  return isClose(own, theirs, rounding)
}

/** Whether two answers of equal length differ by no more than rounding. */
export function isClose(own: ArrayLike<number>, theirs: ArrayLike<number>, rounding: number): boolean {
  let [squares, differences] = [0, 0]
  for (let i = 0; i < own.length; i++) {
    if (Number.isFinite(own[i])) squares += own[i] ** 2
    if (!Object.is(own[i], theirs[i])) differences += (own[i] - theirs[i]) ** 2 // NaN and Inf equal only themselves
  }
  const count = Math.max(1, own.length)
  return Math.sqrt(differences / count) <= rounding * Math.sqrt(squares / count) + NEGLIGIBLE
}

export function addToGroup<M>(groups: M[][], model: M, isSame: (a: M, b: M) => boolean): void {
  const group = groups.find((group) => group.length > 0 && isSame(group[0], model))
  if (group) group.push(model)
  else groups.push([model])
}

/** The largest group; of equally large ones the first. @param sizeOf  default: number of members */
export function largest<M>(groups: readonly M[][], sizeOf = (group: readonly M[]) => group.length): readonly M[] {
  return groups.reduce((most, group) => (sizeOf(group) > sizeOf(most) ? group : most), [])
}
