/** Whose the workers of a pool are. Those of one machine share its identity, and count as one where votes are counted. */

import { identityOf, type ModelWorker } from '../workers/worker'

interface Machine {
  /** It is the user's own. */
  trusted: boolean
  workers: Set<ModelWorker>
  /** Of these, how many may take rows. */
  usable: number
}

/** What others may ask. */
export type IdentitiesView = Pick<Identities, 'size' | 'usable' | 'trusted' | 'has' | 'all' | 'workersOf' | 'isUsable'>

export class Identities {
  readonly #machines = new Map<string, Machine>()
  /** How many of them have a worker that may take rows. */
  usable = 0
  /** The same of the user's own. */
  readonly trusted = { size: 0, usable: 0 }

  add(worker: ModelWorker): void {
    const identity = identityOf(worker)
    const machine = this.#machines.get(identity) ?? { trusted: worker.trusted === true, workers: new Set(), usable: 0 }
    if (machine.trusted && !machine.workers.size) this.trusted.size++
    machine.workers.add(worker)
    this.#machines.set(identity, machine)
  }

  /** @param worker  one that may take no rows any more */
  remove(worker: ModelWorker): void {
    const machine = this.#machines.get(identityOf(worker))
    machine?.workers.delete(worker)
    if (!machine || machine.workers.size) return
    this.#machines.delete(identityOf(worker))
    if (machine.trusted) this.trusted.size--
  }

  /** A worker may take rows from now on, or may not any more. */
  use(worker: ModelWorker, usable: boolean): void {
    const machine = this.#machines.get(identityOf(worker))
    if (!machine) return
    machine.usable += usable ? 1 : -1
    if (machine.usable !== (usable ? 1 : 0)) return
    this.usable += usable ? 1 : -1
    if (machine.trusted) this.trusted.usable += usable ? 1 : -1
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
