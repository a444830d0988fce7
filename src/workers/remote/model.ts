/** Which model a server has, as far as can be told from outside, and which one a fleet begins with: that of most. */

import { checksum } from '../../base/checksum'
import { filled, isEqual, isReal, realsOf } from '../../base/element'
import type { AnyTensor, Signature, TensorList } from '../../base/tensor'

/** Its signature, and its answer to one query. */
export interface ModelIdentity {
  readonly signature: Signature
  /** To the probe query. */
  readonly answer: TensorList
  /** As it says itself. */
  readonly fingerprint?: string | undefined
  /** As its fleet calls it, where there may be several. */
  readonly name?: string | undefined
}

/** What the models of a fleet are called: by the fingerprint that the first server says, else by its answer. */
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

  /** A model is called by its own fingerprint from now on, whatever it was called before. */
  learn(model: ModelIdentity): void {
    const known = this.#known.find((each) => this.isSame(each.model, model))
    if (known) known.name = model.fingerprint ?? known.name
    else this.of(model)
  }
}

/** An output whose root mean square is below this counts as zeros. */
const NEGLIGIBLE = 1e-6

/** Models that are known by name: one that answers at random would have a new one whenever it is examined. */
const MOST_NAMES = 100

/** Another query than the probe query, as valid as that, for each `n` from 2 on. Strings stay as they are. */
export function anotherQuery(query: TensorList, n: number): TensorList {
  return query.map((tensor) => {
    const { type = 'float32', data } = tensor
    if (type === 'string') return tensor
    const reals = realsOf(type, data)
    const value = (i: number) => (isReal(type) ? reals[i] / n : ((i >> (n % 8)) + n) % 2)
    return { ...tensor, data: filled(type, data.length, value) }
  })
}

/** @param rounding  how far real answers may differ, root mean square, over each output's. Infinity: only signatures count */
export function isSameModel(a: ModelIdentity, b: ModelIdentity, rounding: number): boolean {
  if (JSON.stringify(a.signature) !== JSON.stringify(b.signature)) return false
  if (rounding === Number.POSITIVE_INFINITY) return true // times an output of zeros it would be NaN
  return a.answer.every((tensor, i) => isSameOutput(tensor, b.answer[i], rounding))
}

function isSameOutput({ type, data, shape }: AnyTensor, other: AnyTensor, rounding: number): boolean {
  if (String(shape) !== String(other.shape)) return false
  if (!isReal(type)) return isEqual(data, other.data)
  const [own, theirs] = [data, other.data].map((values) => realsOf(type ?? 'float32', values))
  return isClose(own, theirs, rounding)
}

/** Whether they differ by rounding; the lengths are equal. */
export function isClose(own: ArrayLike<number>, theirs: ArrayLike<number>, rounding: number): boolean {
  let [squares, differences] = [0, 0]
  for (let i = 0; i < own.length; i++) {
    if (Number.isFinite(own[i])) squares += own[i] ** 2
    if (!Object.is(own[i], theirs[i])) differences += (own[i] - theirs[i]) ** 2 // NaN and Inf differ from all others
  }
  const count = Math.max(1, own.length)
  return Math.sqrt(differences / count) <= rounding * Math.sqrt(squares / count) + NEGLIGIBLE
}

export function addToGroup<M>(groups: M[][], model: M, isSame: (a: M, b: M) => boolean): void {
  const group = groups.find((group) => group.length > 0 && isSame(group[0], model))
  if (group) group.push(model)
  else groups.push([model])
}

/** The largest group, of equally large ones the first. @param sizeOf  default: how many it has */
export function largest<M>(groups: readonly M[][], sizeOf = (group: readonly M[]) => group.length): readonly M[] {
  return groups.reduce((most, group) => (sizeOf(group) > sizeOf(most) ? group : most), [])
}
