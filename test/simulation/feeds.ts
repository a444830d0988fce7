/** Of one predictor that ends and another that begins each hears of workers that come and go. */

import { Feed } from '../shared/worker-changes'

export class Feeds<T> {
  #open: Feed<T>[] = []

  /** Another one. */
  open(): Feed<T> {
    const feed = new Feed<T>()
    this.#open = [...this.#open.filter(({ returned }) => !returned), feed]
    return feed
  }

  get newest(): Feed<T> | undefined {
    return this.#open.at(-1)
  }

  tell(change: T): void {
    for (const feed of this.#open) feed.tell(change)
  }
}
