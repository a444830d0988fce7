/** The identities of a pool's workers. Workers of one machine share an identity, and have one vote. */

import { identityOf, type ModelWorker } from '../workers/worker'
import { Machine } from './machine'

/** Machines that have left and whose earned and lost slots are remembered: a machine that is forgotten is like one with a new key. */
const MOST_LEFT = 1000

const NOBODY: ReadonlySet<ModelWorker> = new Set()

/** The part that others may use. */
export type IdentitiesView = Pick<Identities, 'size' | 'usable' | 'trusted' | 'has' | 'all' | 'workersOf' | 'isUsable'>

export class Identities {
  readonly #machines = new Map<string, Machine>()
  /** Machines without workers, the one that left earliest first. */
  readonly #left = new Map<string, Machine>()
  /** For workers that share connections: a machine for each limit. */
  readonly connected = new Map<ModelWorker['connections'], Machine>()
  /** How many have a worker that may take attempts. */
  usable = 0
  /** The same of the user's own. */
  readonly trusted = { size: 0, usable: 0 }

  /** @returns what its slots count in: a trusted worker's are its own, since another may claim its identity; those of workers that share connections count together */
  add(worker: ModelWorker): Machine {
    const identity = identityOf(worker)
    const machine = this.#machines.get(identity) ?? this.#left.get(identity) ?? new Machine()
    this.#left.delete(identity)
    if (!machine.workers.size) machine.trusted = worker.trusted === true
    if (machine.trusted && !machine.workers.size) this.trusted.size++
    this.#machines.set(identity, machine)
    machine.add(worker)
    const { connections } = worker
    if (connections) return this.#sharing(connections)
    return worker.trusted ? new Machine() : machine
  }

  #sharing(connections: ModelWorker['connections']): Machine {
    const machine = this.connected.get(connections) ?? new Machine(connections)
    this.connected.set(connections, machine)
    return machine
  }

  /** @param worker  one that may take no attempts any more */
  remove(worker: ModelWorker): void {
    const identity = identityOf(worker)
    const machine = this.#machines.get(identity)
    if (!machine?.workers.delete(worker) || machine.workers.size) return
    this.#machines.delete(identity)
    if (machine.trusted) this.trusted.size--
    if (!machine.isKnown) return
    this.#left.set(identity, machine)
    const [oldest] = this.#left.keys()
    if (this.#left.size > MOST_LEFT) this.#left.delete(oldest)
  }

  /** A worker may take attempts from now on, or may not any more. */
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

  workersOf(identity: string): ReadonlySet<ModelWorker> {
    return this.#machines.get(identity)?.workers ?? NOBODY
  }
}
