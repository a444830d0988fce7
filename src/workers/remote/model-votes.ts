/**
 * Which models the machines of a fleet have, and which one takes the place of the fleet's own. A machine counts once, whatever names it
 * gives to how many workers, since whoever has its key can make any number of them.
 */

/** What is known of a worker. */
export interface ModelVote<M> {
  /** Of its machine. */
  identity: string
  /** The machine is the user's own. */
  trusted: boolean
  /** The one that it had when it was last heard. */
  model: M
  /** It can be reached. */
  there: boolean
}

interface Voter<M> {
  trusted: boolean
  /** Workers by their models: those that can be reached, and those that cannot. */
  there: Map<M, number>
  lost: Map<M, number>
  /** The model that it counts for, if any. */
  vote: M | undefined
}

/** @typeParam M  what models are called */
export class Census<M extends string | number> {
  /** By model, of machines that count. To be read only. */
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

  /** Machines that may lie: no model takes over that no more than these have. Infinity: trusted ones alone count. */
  set liars(liars: number) {
    this.#liars = liars
    this.#hasChanged = true
    if (liars === Number.POSITIVE_INFINITY) this.#decideByTrust()
  }

  /** A worker has joined, was heard, or cannot be reached. */
  see(name: string, vote: ModelVote<M>): void {
    const before = this.#workers.get(name)
    if (before && isEqual(before, vote)) return
    if (before) this.#count(before, -1)
    this.#workers.set(name, vote)
    if (vote.trusted) this.#decideByTrust()
    this.#count(vote, 1)
  }

  /** It is no worker of the fleet any more, and will not come back as it was. */
  forget(name: string): void {
    const before = this.#workers.get(name)
    if (!before) return
    this.#workers.delete(name)
    this.#count(before, -1)
  }

  /** Since one that is the user's own has been there only such ones count: strangers do not wait until it is away. */
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

  /** One with the fleet's model and another is not rolled yet; one with two others has not decided. One that cannot be reached may come back as it was. */
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
   * The model that takes the place of the fleet's own: one that more machines have than have that, and more than may lie. So a fleet that is
   * rolled goes over half-way, one that is rolled back before that stays with what it had, and one wrong machine never becomes the model.
   * Of equal ones the first. Undefined while nothing has changed.
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

/** The same for a list of what is known, in which models are told apart otherwise than by a name. */
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
