/** Whose the workers of a pool are. Those of one machine share its identity, and count as one where votes are counted. */

import { identityOf, type ModelWorker } from '../workers/worker'

interface Machine {
  workers: Set<ModelWorker>
  /** Of these, how many may take rows. */
  usable: number
}

/** What others may ask. */
export type IdentitiesView = Pick<Identities, 'size' | 'usable' | 'has' | 'all' | 'workersOf' | 'isUsable'>

export class Identities {
  readonly #machines = new Map<string, Machine>()
  /** How many of them have a worker that may take rows. */
  usable = 0

  add(worker: ModelWorker): void {
    const identity = identityOf(worker)
    const machine = this.#machines.get(identity) ?? { workers: new Set(), usable: 0 }
    machine.workers.add(worker)
    this.#machines.set(identity, machine)
  }

  /** @param worker  one that may take no rows any more */
  remove(worker: ModelWorker): void {
    const machine = this.#machines.get(identityOf(worker))
    machine?.workers.delete(worker)
    if (!machine?.workers.size) this.#machines.delete(identityOf(worker))
  }

  /** A worker may take rows from now on, or may not any more. */
  use(worker: ModelWorker, usable: boolean): void {
    const machine = this.#machines.get(identityOf(worker))
    if (!machine) return
    machine.usable += usable ? 1 : -1
    if (machine.usable === (usable ? 1 : 0)) this.usable += usable ? 1 : -1
  }

  isUsable(identity: string): boolean {
    return (this.#machines.get(identity)?.usable ?? 0) > 0
  }

  get size(): number {
    return this.#machines.size
  }

  has(identity: string): boolean {
    return this.#machines.has(identity)
  }

  all(): string[] {
    return [...this.#machines.keys()]
  }

  workersOf(identity: string): ModelWorker[] {
    return [...(this.#machines.get(identity)?.workers ?? [])]
  }
}
