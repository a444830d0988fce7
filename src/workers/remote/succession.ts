/** Which model a fleet goes on with where nobody has its own any more: servers and machines are rolled to new weights one by one. */

/** What is known of a worker of a fleet: the model that it had when it was last heard, and whether it can be reached. */
export interface Sighting<M> {
  model: M
  there: boolean
}

/**
 * The model that most of those that can be reached have, of equally many that of the first; undefined while one has the fleet's own. Those that had
 * it and cannot be reached may come back with it: the others must be more. So a fleet that is rolled one by one loses no time, and one wrong
 * server does not become the model while all others are cut off.
 *
 * @param alike  whether two models are the same
 */
export function successor<M>(own: M, seen: Iterable<Sighting<M>>, alike: (a: M, b: M) => boolean): M | undefined {
  const others: M[][] = []
  let lost = 0
  for (const { model, there } of seen) {
    if (alike(own, model)) {
      if (there) return undefined
      lost++
    } else if (there) {
      const same = others.find(([first]) => alike(first, model))
      if (same) same.push(model)
      else others.push([model])
    }
  }
  const most = others.reduce((most, group) => (group.length > most.length ? group : most), [])
  return most.length > lost ? most[0] : undefined
}
