/**
 * Limits how many worker names a machine with a key may use. A machine has tens of workers, but can invent any number of names, and each
 * name costs the gateway a signature check at every heartbeat, and memory.
 */

/** Names of one machine that are in use at a time. */
const MOST_NAMES = 256

export class NameLimit {
  /** For each machine, when each of its names was last seen. */
  readonly #machines = new Map<string, Map<string, number>>()

  has(identity: string, name: string): boolean {
    return this.#machines.get(identity)?.has(name) === true
  }

  /** Whether a new name would exceed the machine's limit. */
  isOver(identity: string, name: string): boolean {
    const names = this.#machines.get(identity)
    return names !== undefined && names.size >= MOST_NAMES && !names.has(name)
  }

  /** Records a verified heartbeat. */
  hear(identity: string, name: string, now: number): void {
    const names = this.#machines.get(identity) ?? new Map<string, number>()
    this.#machines.set(identity, names.set(name, now))
  }

  forget(identity: string, name: string): void {
    const names = this.#machines.get(identity)
    names?.delete(name)
    if (!names?.size) this.#machines.delete(identity)
  }

  /** Forgets names that were last seen before `since`. */
  sweep(since: number): void {
    for (const [identity, names] of this.#machines) {
      for (const [name, heardAt] of names) if (heardAt < since) this.forget(identity, name)
    }
  }
}
