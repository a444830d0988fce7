/** Long work in steps of a few milliseconds, as generators: between two steps its caller does other work. */

/** Multiplications of the core in one step: half a millisecond to two in WASM, a few milliseconds in JavaScript. */
export const PRODUCTS = 2 ** 21
/** Operations of plain JavaScript in one step: a fiftieth of a millisecond, or one millisecond before the engine has compiled them. */
const OPERATIONS = 2 ** 14

/** How many items fit in one step, if each takes so many operations. */
export const perStep = (operations: number) => Math.max(1, Math.floor(OPERATIONS / operations))

/** Does all steps at once. */
export function finished<T>(steps: Generator<unknown, T>): T {
  while (true) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

/**
 * Calls `each` with 0 .. count - 1; a step ends after `every` calls. The first steps are shorter, since code that the engine has not compiled yet takes
 * fifty times as long.
 */
export function paced(count: number, every: number, each: (i: number) => unknown): Generator<void> {
  return inSlices(count, every, (from, to) => {
    for (let i = from; i < to; i++) each(i)
  })
}

/** As `paced`, but `each` loops from `from` to `to` - 1 by itself: a call for every item would cost as much as a few multiplications. */
export function* inSlices(count: number, every: number, each: (from: number, to: number) => unknown): Generator<void> {
  for (let from = 0, to = 1; from < count; to += Math.min(every, to)) {
    each(from, Math.min(to, count))
    from = to
    if (to <= count) yield
  }
}
