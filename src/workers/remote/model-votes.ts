/**
 * Counts which models the machines of a fleet have, and decides when another model replaces the fleet's own. A machine has one vote
 * however many workers it announces, since it can invent any number of them.
 */

/** What is known of a worker's model. */
export interface ModelVote<M> {
  /** The machine's identity. */
  identity: string
  /** Whether the machine is the user's own. */
  trusted: boolean
  /** The worker's model when it was last seen. */
  model: M
  /** Whether the worker can be reached. */
  there: boolean
}

interface Voter<M> {
  trusted: boolean
  /** Number of workers by model: reachable ones, and lost ones. */
  there: Map<M, number>
  lost: Map<M, number>
  /** The model that the machine votes for, if any. */
  vote: M | undefined
}

/** @typeParam M the name of a model */
export class Census<M extends string | number> {
  /** Number of machines that vote for each model. To be read only. */
  readonly votes = new Map<M, number>()
  readonly #workers = new Map<string, ModelVote<M>>()
  readonly #machines = new Map<string, Voter<M>>()
  #own: M | undefined
  #liars = 0
  #isByTrust = false
  #hasChanged = false

  set own(model: M | undefined) {
    if (this.#own === model) return
    this.#own = model
    this.#recount()
  }

  /** Machines that may lie: a model needs more votes than that to replace the fleet's. Infinity: only trusted machines vote. */
  set liars(liars: number) {
    this.#liars = liars
    this.#hasChanged = true
    if (liars === Number.POSITIVE_INFINITY) this.#decideByTrust()
  }

  /** Records a worker's current model and whether it can be reached. */
  see(name: string, vote: ModelVote<M>): void {
    const before = this.#workers.get(name)
    if (before && isEqual(before, vote)) return
    if (before) this.#count(before, -1)
    this.#workers.set(name, vote)
    if (vote.trusted) this.#decideByTrust()
    this.#count(vote, 1)
  }

  /** Removes a worker that will not come back with the same model. */
  forget(name: string): void {
    const before = this.#workers.get(name)
    if (!before) return
    this.#workers.delete(name)
    this.#count(before, -1)
  }

  /** From the first trusted worker on, only trusted machines vote, so that untrusted ones cannot take over while the trusted ones are away. */
  #decideByTrust(): void {
    if (this.#isByTrust) return
    this.#isByTrust = true
    this.#recount()
  }

  #count({ identity, trusted, model, there }: ModelVote<M>, change: 1 | -1): void {
    const machine = this.#machines.get(identity) ?? { trusted, there: new Map(), lost: new Map(), vote: undefined }
    this.#machines.set(identity, machine)
    machine.trusted = trusted
    add(there ? machine.there : machine.lost, model, change)
    this.#vote(machine)
    if (!machine.there.size && !machine.lost.size) this.#machines.delete(identity)
  }

  #vote(machine: Voter<M>): void {
    const vote = this.#isByTrust && !machine.trusted ? undefined : this.#voteOf(machine)
    if (vote === machine.vote) return
    if (machine.vote !== undefined) add(this.votes, machine.vote, -1)
    if (vote !== undefined) add(this.votes, vote, 1)
    machine.vote = vote
    this.#hasChanged = true
  }

  /**
   * A machine that still has a worker with the fleet's model votes for that; a machine with two other models has no vote. A machine whose
   * workers are all lost votes for the fleet's model if one of them had it.
   */
  #voteOf({ there, lost }: Voter<M>): M | undefined {
    const own = this.#own
    if (own === undefined) return undefined
    if (there.has(own)) return own
    const [other] = there.keys()
    if (there.size) return there.size === 1 ? other : undefined
    return lost.has(own) ? own : undefined
  }

  #recount(): void {
    this.#hasChanged = true
    for (const machine of this.#machines.values()) this.#vote(machine)
  }

  /**
   * The model that replaces the fleet's: it has more votes than the fleet's model, and more than the number of machines that may lie. So
   * a rollout switches the fleet when half of the machines have the new model, a rollout that is reverted before changes nothing, and one
   * faulty machine never decides. Of equal ones the first wins. Undefined if no vote has changed since the last call.
   */
  get successor(): M | undefined {
    if (!this.#hasChanged || this.#own === undefined) return undefined
    this.#hasChanged = false
    let most = Math.max(this.votes.get(this.#own) ?? 0, this.#isByTrust ? 0 : this.#liars)
    let next: M | undefined
    for (const [model, votes] of this.votes) {
      if (model === this.#own || votes <= most) continue
      most = votes
      next = model
    }
    return next
  }
}

/** The same decision for a list of votes, where models are compared by a function. */
export function successor<M>(
  own: M,
  seen: Iterable<ModelVote<M>>,
  isSame: (a: M, b: M) => boolean,
  liars = 0,
): M | undefined {
  const models = [own]
  const placeOf = (model: M) => {
    const place = models.findIndex((known) => isSame(known, model))
    return place < 0 ? models.push(model) - 1 : place
  }
  const census = new Census<number>()
  census.own = 0
  census.liars = liars
  let workers = 0
  for (const { model, ...rest } of seen) census.see(`${workers++}`, { ...rest, model: placeOf(model) })
  const next = census.successor
  return next === undefined ? undefined : models[next]
}

function add<K>(counts: Map<K, number>, key: K, change: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + change
  if (count) counts.set(key, count)
  else counts.delete(key)
}

function isEqual<M>(one: ModelVote<M>, other: ModelVote<M>): boolean {
  return (
    one.identity === other.identity &&
    one.trusted === other.trusted &&
    one.model === other.model &&
    one.there === other.there
  )
}
