/** Work in steps, between which whatever else there is to do has its turn. */

/** All steps at once, for who can wait for them. */
export function finished<T>(steps: Generator<unknown, T>): T {
  while (true) {
    const { done, value } = steps.next()
    if (done) return value
  }
}
