/** Which model a fleet has: that of most workers. Servers are rolled to new weights one by one, so it may be another one day. */

/** What is known of a worker: the model that it had when it was last heard, and whether it can be reached. */
export interface Sighting<M> {
  model: M
  there: boolean
}

/** Adds a model to the group of those that are the same. */
export function addToGroup<M>(groups: M[][], model: M, isSame: (a: M, b: M) => boolean): void {
  const group = groups.find((group) => group.length > 0 && isSame(group[0], model))
  if (group) group.push(model)
  else groups.push([model])
}

/** The largest group, of equally large ones the first. */
export function largest<M>(groups: readonly M[][]): readonly M[] {
  return groups.reduce((most, group) => (group.length > most.length ? group : most), [])
}

/**
 * The model that most reachable workers have; undefined while one of them has the fleet's own. Workers that had the own model and
 * cannot be reached may come back with it, so the others must be more than those. A fleet that is rolled one by one loses no time that
 * way, and one wrong server does not become the model while all others are cut off.
 */
export function successor<M>(own: M, seen: Iterable<Sighting<M>>, isSame: (a: M, b: M) => boolean): M | undefined {
  const others: M[][] = []
  let lost = 0
  for (const { model, there } of seen) {
    if (!isSame(own, model)) {
      if (there) addToGroup(others, model, isSame)
    } else if (there) return undefined
    else lost++
  }
  const most = largest(others)
  return most.length > lost ? most[0] : undefined
}
