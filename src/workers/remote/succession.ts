/** Which model a fleet goes on with when no worker has its own any more: servers are rolled to new weights one by one. */

/** What is known of a worker: the model that it had when it was last heard, and whether it can be reached. */
export interface Sighting<M> {
  model: M
  there: boolean
}

/** Models, with equal ones in one group. */
export class Ballot<M> {
  readonly #groups: M[][] = []
  readonly #isSame: (a: M, b: M) => boolean

  constructor(isSame: (a: M, b: M) => boolean) {
    this.#isSame = isSame
  }

  add(model: M): void {
    const group = this.#groups.find((group) => group.length > 0 && this.#isSame(group[0], model))
    if (group) group.push(model)
    else this.#groups.push([model])
  }

  /** Takes back what was added. */
  remove(model: M): void {
    for (const group of this.#groups) {
      const at = group.indexOf(model)
      if (at >= 0) return void group.splice(at, 1)
    }
  }

  /** The largest group, of equally large ones the first. */
  get largest(): readonly M[] {
    return this.#groups.reduce((most, group) => (group.length > most.length ? group : most), [])
  }
}

/**
 * The model that most reachable workers have; undefined while one of them has the fleet's own. Workers that had the own model and
 * cannot be reached may come back with it, so the others must be more than those. A fleet that is rolled one by one loses no time that
 * way, and one wrong server does not become the model while all others are cut off.
 */
export function successor<M>(own: M, seen: Iterable<Sighting<M>>, isSame: (a: M, b: M) => boolean): M | undefined {
  const others = new Ballot(isSame)
  let lost = 0
  for (const { model, there } of seen) {
    if (!isSame(own, model)) {
      if (there) others.add(model)
    } else if (there) return undefined
    else lost++
  }
  const { largest } = others
  return largest.length > lost ? largest[0] : undefined
}
