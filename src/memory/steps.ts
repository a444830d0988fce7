/** Work in steps of a few milliseconds, between which other work has its turn. */

/** Multiplications in one step: half a millisecond to two in WASM, a few in JavaScript. */
export const PRODUCTS = 2 ** 21
/** Operations in plain JavaScript in one step: a fiftieth of a millisecond, or one before the engine has compiled them. */
const OPERATIONS = 2 ** 14

/** Items in one step, where each takes `operations`. */
export const perStep = (operations: number) => Math.max(1, Math.floor(OPERATIONS / operations))

/** All steps at once, for callers that can wait for them. */
export function finished<T>(steps: Generator<unknown, T>): T {
  while (true) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

/**
 * Calls `each` with 0 .. count - 1; a step ends after `every` of them. The first steps are shorter: what the engine has not compiled
 * yet takes fifty times as long.
 */
export function paced(count: number, every: number, each: (i: number) => unknown): Generator<void> {
  return inSlices(count, every, (from, to) => {
    for (let i = from; i < to; i++) each(i)
  })
}

/** The same, where `each` has a loop of its own from `from` to `to` - 1: one call each costs as much as a few multiplications. */
export function* inSlices(count: number, every: number, each: (from: number, to: number) => unknown): Generator<void> {
  for (let from = 0, to = 1; from < count; to += Math.min(every, to)) {
    each(from, Math.min(to, count))
    from = to
    if (to <= count) yield
  }
}
