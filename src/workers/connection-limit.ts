/**
 * Shares the connections of a runtime that allows only a few at a time. Such a runtime holds further requests back without an error, so
 * that their wait there would count as the server's slowness.
 */

import type { Cancellation } from '../base/abort'
import type { Platform } from '../platform/platform'

/**
 * Health checks hold at most this share of the connections while calls wait, and else all but one, since a server that hangs holds the
 * connection of its check for seconds.
 */
const MOST_CHECKS = 0.5

export class ConnectionLimit {
  #open = 0
  #checks = 0
  readonly #waiting = new Set<() => void>()
  readonly #waitingChecks = new Set<() => void>()

  /** @param most  requests that may be open at a time */
  constructor(readonly most: number) {}

  get free(): number {
    return this.most - this.#open
  }

  /** Takes a connection. @returns gives it back; further calls have no effect */
  take(): () => void {
    this.#open++
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#open--
      this.#serve()
    }
  }

  /** Calls `f` once when a connection is free, in turn. A function that waits already keeps its turn. */
  wait(f: () => void): void {
    this.#waiting.add(f)
  }

  /** Waits for a connection and takes it. @returns gives it back @throws the reason of the abort */
  acquire(abort: Cancellation): Promise<() => void> {
    return this.#acquire(abort, this.#waiting, () => this.take())
  }

  /** As `acquire`, for a health check. */
  acquireForCheck(abort: Cancellation): Promise<() => void> {
    return this.#acquire(abort, this.#waitingChecks, () => {
      const release = this.take()
      this.#checks++
      return () => {
        this.#checks--
        release()
      }
    })
  }

  async #acquire(abort: Cancellation, queue: Set<() => void>, take: () => () => void): Promise<() => void> {
    abort.throwIfAborted()
    return new Promise((resolve, reject) => {
      const start = () => {
        forget()
        resolve(take())
      }
      const forget = abort.listen(() => {
        queue.delete(start)
        reject(abort.reason)
      })
      queue.add(start)
      this.#serve()
    })
  }

  #serve(): void {
    while (this.free > 0) {
      const mostChecks = this.#waiting.size ? MOST_CHECKS * this.most : Math.max(1, this.most - 1)
      const queue = this.#waitingChecks.size && this.#checks < mostChecks ? this.#waitingChecks : this.#waiting
      if (!queue.size) return
      const [next] = queue
      queue.delete(next)
      next()
    }
  }
}

let latest: { isCurrent: () => boolean; limit: ConnectionLimit } | undefined

/**
 * The limit that all HTTP servers share that are called by the current request or Durable Object. undefined where the runtime has no such
 * limit.
 */
export function connectionLimit({
  connections,
  thisRequest,
}: Pick<Platform, 'connections' | 'thisRequest'>): ConnectionLimit | undefined {
  if (connections === undefined) return undefined
  if (!thisRequest) return new ConnectionLimit(connections) // a request may not wake another one
  if (!latest?.isCurrent()) latest = { isCurrent: thisRequest(), limit: new ConnectionLimit(connections) }
  return latest.limit
}
