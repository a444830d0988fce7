/**
 * The names that machines with keys give to their workers. A machine has tens of workers; whoever has its key can make up any number of
 * names, and each costs the gateway a signature's check at every heartbeat, and a place.
 */

/** Names of one machine that were heard lately. */
const MOST_NAMES = 256

export class NameLimit {
  /** By machine, when each was heard last. */
  readonly #machines = new Map<string, Map<string, number>>()

  has(identity: string, name: string): boolean {
    return this.#machines.get(identity)?.has(name) === true
  }

  /** Whether this one would be one too many. */
  isOver(identity: string, name: string): boolean {
    const names = this.#machines.get(identity)
    return names !== undefined && names.size >= MOST_NAMES && !names.has(name)
  }

  /** It was heard, and it is proven that its machine has said it. */
  hear(identity: string, name: string, now: number): void {
    const names = this.#machines.get(identity) ?? new Map<string, number>()
    this.#machines.set(identity, names.set(name, now))
  }

  forget(identity: string, name: string): void {
    const names = this.#machines.get(identity)
    names?.delete(name)
    if (!names?.size) this.#machines.delete(identity)
  }

  /** Those that were not heard since are forgotten. */
  sweep(since: number): void {
    for (const [identity, names] of this.#machines) {
      for (const [name, heardAt] of names) if (heardAt < since) this.forget(identity, name)
    }
  }
}
