/** Workers that join and leave: reads changes from an iterable, and admits only workers with the same model. */

import { expected, isObject } from '../base/check'
import type { Clock } from '../base/clock'
import { ApproxiferError, asError } from '../base/errors'
import { CheckedWorker } from '../workers/checked'
import { addToGroup, largest } from '../workers/remote/model'
import type { Change, ModelChange, ModelWorker, WorkerChanges } from '../workers/worker'
import { machinesOf, modelIdOf } from '../workers/worker'

/** Changes that are read in a row before the event loop gets its turn: an iterable may have thousands ready. */
const AT_A_TIME = 20
/** How long it waits for the first workers before a warning names the missing ones, and between two warnings. */
const WAIT_MS = 3000
const AGAIN_MS = 60_000
/** How long it waits for the last workers when it could start without them: on a busy machine a process starts in up to six seconds. */
const GRACE_MS = 4000

/** For a fleet that needs a trusted worker. */
export const YOURS = ', one of them yours (trusted)'

/** What joins and leaves is passed on to these methods. */
export interface Members {
  join(worker: ModelWorker): void
  leave(name: string, how: 'remove' | 'drain'): void
  /** All workers, also those that come later, have another model than before. */
  renew(change: ModelChange): void
  worker(name: string): ModelWorker | undefined
  isEmpty(): boolean
}

/** How many workers, and of what trust, a model must have to answer queries, once the predictor runs. */
export type Takes = Pick<Needs, 'least' | 'counted' | 'liars' | 'needsTrusted'>

/** How many workers it waits for at the start. */
export interface Needs {
  needed: number
  /** These will do if the others do not come within `GRACE_MS`. */
  least: number
  /** Where some may lie, machines are counted instead of workers. */
  counted: 'workers' | 'machines'
  /** Machines that may lie; Infinity: any number of untrusted workers. A model takes over only with more machines than that. */
  liars: number
  /** One of them has to be trusted: only its answers are proof. */
  needsTrusted?: boolean
}

/** Too few workers are left that could still join. */
class TooFew extends Error {}

export class Membership {
  readonly #source: WorkerChanges
  readonly #changes: AsyncIterator<Change>
  /** Workers that can have joined at most, now or later. */
  readonly #most: number
  readonly #warn: (text: string) => void
  /** The signature of the first worker: all others must have it. */
  #signature: string | undefined
  #fingerprint: string | undefined
  /** Whether workers with other models are admitted, as a model version of their own. */
  readonly #apart: boolean
  /** Workers that came before the predictor was made, with another model than most. */
  #early: ModelWorker[] = []
  /** Some may lie: a worker without a key is refused, since any other machine could speak for it. */
  #isDoubted = false
  /** Workers that were admitted: one that is added twice is not closed. */
  readonly #known = new WeakSet<ModelWorker>()
  /** The next change, if it is being waited for. */
  #next: Promise<IteratorResult<Change>> | undefined
  #closed = false

  /** @param warn  must not throw */
  constructor(changes: WorkerChanges, warn: (text: string) => void, apart = false) {
    this.#source = changes
    this.#apart = apart
    if (apart) changes.apart?.()
    this.#most = changes.most ?? Number.POSITIVE_INFINITY
    this.#changes = changes[Symbol.asyncIterator]()
    this.#warn = warn
  }

  /**
   * Waits until `needed` workers have joined; after a few seconds `least` of them will do. Between changes the event loop gets its turn, since an
   * iterable may have changes without end. A warning says what is missing if it takes long.
   *
   * @throws RangeError if that many can never join; ApproxiferError WORKER if the changes end or fail before; the workers are closed then
   */
  async gather(needs: Needs, clock: Clock): Promise<ModelWorker[]> {
    const { needed, least, counted, liars, needsTrusted } = needs
    this.#isDoubted = counted === 'machines' || needsTrusted === true
    if (this.#isDoubted) this.#source.doubt?.(liars)
    const gathered = new Map<string, ModelWorker>()
    const members = this.#gathering(gathered)
    const joined = () => this.#count(gathered, needs)
    const isEnough = (count: number) =>
      joined() >= count && (!needsTrusted || this.#alike(gathered).some(({ trusted }) => trusted))
    const all = () => (counted === 'workers' ? '' : ` (${gathered.size} workers)`)
    const stop = remind(clock, () =>
      this.#warn(
        `waits for workers: ${joined()} of the ${needed} ${counted}${needsTrusted ? `${YOURS},` : ''} that the scheme needs have joined${all()}`,
      ),
    )
    const grace = graceOf(clock)
    try {
      if (this.#most < needed) throw new TooFew(`${this.#most}, and no others can join`)
      for (let inVain = 0; !isEnough(needed); ) {
        if (gathered.size >= this.#most && !this.#apart) throw new TooFew(`${joined()}${all()}, and no others can join`)
        const next = await Promise.race([this.#change(), ...(isEnough(least) ? [grace.over] : [])])
        if (!next) {
          this.#warn(
            `starts with ${joined()} of the ${needed} ${counted} that the scheme needs: the others join when they are there`,
          )
          break
        }
        this.#next = undefined
        const { done, value } = next
        if (done) throw new Error('the changes ended')
        const before = gathered.size
        this.#take(value, members)
        if (gathered.size <= before && ++inVain % AT_A_TIME === 0) await breath(clock)
      }
    } catch (error) {
      await Promise.all([...gathered.values()].map(shut))
      throw this.#failure(error, gathered.size, needs)
    } finally {
      stop()
      grace.cancel()
    }
    return this.#beginning(gathered)
  }

  #failure(error: unknown, joined: number, { needed, counted, needsTrusted }: Needs): Error {
    const yours = needsTrusted ? `${YOURS},` : ','
    if (error instanceof TooFew) {
      this.close()
      return new RangeError(`workers: expected >= ${needed} ${counted}${yours} got ${error.message}`)
    }
    const { message } = asError(error, 'WORKER')
    const text = `workers: expected >= ${needed} to join${yours} got ${joined}: ${message}`
    return new ApproxiferError('WORKER', text, { cause: error })
  }

  #count(gathered: ReadonlyMap<string, ModelWorker>, { counted }: Needs): number {
    const alike = this.#alike(gathered)
    return counted === 'workers' ? alike.length : machinesOf(alike)
  }

  /** The workers that it starts with; the others join later. */
  #beginning(gathered: ReadonlyMap<string, ModelWorker>): ModelWorker[] {
    const own = this.#alike(gathered)
    this.#early = [...gathered.values()].filter((worker) => !own.includes(worker))
    return own
  }

  /** The workers with the model that most machines have; if some are trusted, these decide. */
  #alike(gathered: ReadonlyMap<string, ModelWorker>): ModelWorker[] {
    const groups: ModelWorker[][] = []
    const isAlike = (a: ModelWorker, b: ModelWorker) => !this.#apart || modelIdOf(a) === modelIdOf(b)
    for (const worker of gathered.values()) addToGroup(groups, worker, isAlike)
    const isAnyTrusted = groups.some((group) => group.some(({ trusted }) => trusted))
    return [...largest(groups, (group) => machinesOf(isAnyTrusted ? group.filter(({ trusted }) => trusted) : group))]
  }

  /** The next change; the same one until `#next = undefined` marks it as taken. */
  #change(): Promise<IteratorResult<Change>> {
    this.#next ??= this.#changes.next()
    return this.#next
  }

  /** Collects workers until enough have joined. */
  #gathering(gathered: Map<string, ModelWorker>): Members {
    return {
      join: (worker) => gathered.set(worker.name, worker),
      leave: (name) => {
        const worker = gathered.get(name)
        gathered.delete(name)
        if (worker) void shut(worker)
        if (!gathered.size) this.#signature = this.#fingerprint = undefined
      },
      renew: () => {},
      worker: (name) => gathered.get(name),
      isEmpty: () => !gathered.size,
    }
  }

  /** From now on changes go to these members. Returns at once; if the iterable ends or fails, the members stay. */
  async follow(clock: Clock, members: Members): Promise<void> {
    try {
      for (const worker of this.#early.splice(0)) members.join(worker)
      for (let taken = 1; !this.#closed; taken++) {
        const { done, value } = await this.#change()
        this.#next = undefined
        if (done) return
        this.#take(value, members)
        if (taken % AT_A_TIME === 0) await breath(clock, true)
      }
    } catch (error) {
      if (this.#closed) return
      const { message } = asError(error, 'WORKER')
      this.#warn(`workers: nobody comes or goes any more, since the changes ended with an error: ${message}`)
    }
  }

  /** See `WorkerChanges.sleep`; undefined if the workers of this source never sleep. */
  get sleep(): ((isAsleep: boolean) => void) | undefined {
    const source = this.#source
    return source.sleep && ((isAsleep) => source.sleep?.(isAsleep))
  }

  /** Ends the iterable; a worker that still comes is closed. */
  close(): void {
    this.#closed = true
    const leave = async () => this.#changes.return?.() // if `return` throws, workers are closed all the same
    // Not awaited: a generator that waits for its next change returns only after that.
    leave().catch(() => {})
  }

  #take(change: Change, members: Members): void {
    if (isObject(change)) {
      if ('add' in change) return this.#add(change.add, members)
      if ('remove' in change) return members.leave(change.remove, 'remove')
      if ('drain' in change) return members.leave(change.drain, 'drain')
      if ('model' in change) return this.#renew(change, members)
    }
    this.#warn(expected('workers', 'changes of the form { add }, { remove }, { drain } or { model }', change))
  }

  #add(worker: ModelWorker, members: Members): void {
    if (this.#closed) return void shut(worker)
    let own: ModelWorker
    try {
      own = new CheckedWorker('add', worker, this.#warn)
      this.#checkAlike(own, members)
    } catch (error) {
      this.#warn(`a worker was refused: ${asError(error, 'WORKER').message}`)
      return isInUse(worker) || this.#known.has(worker) ? undefined : void shut(worker)
    }
    this.#known.add(worker)
    this.#signature = JSON.stringify(own.signature)
    this.#welcome(own, members)
    members.join(own)
  }

  /** The first worker determines the model; so does the next one after all have left. */
  #welcome({ name, fingerprint }: ModelWorker, members: Members): void {
    const known = this.#fingerprint
    this.#fingerprint ??= fingerprint
    if (this.#apart || !known || !fingerprint || fingerprint === known) return
    this.#warn(
      `workers: none is left with the model ${known}: from here on it is that of ${name}, ${fingerprint}; what was learned of the one before is forgotten`,
    )
    this.#renew({ model: fingerprint }, members)
  }

  #renew(change: ModelChange, members: Members): void {
    this.#fingerprint = change.model
    members.renew(change)
  }

  /** @throws RangeError for a worker that cannot be a member */
  #checkAlike({ name, signature, fingerprint, onFree, signed }: ModelWorker, members: Members): void {
    const known = this.#fingerprint
    const own = JSON.stringify(signature)
    const wrong = (field: string, what: string, got: string) => {
      throw new RangeError(`${name}: ${field}: expected ${what}, got ${got}`)
    }
    if (onFree) wrong('onFree', 'none of another predictor', 'one')
    if (this.#isDoubted && signed === false)
      wrong('key', 'one, since some may lie', 'none: others could answer in its name')
    if (members.worker(name)) wrong('name', 'one that no other worker has', 'it again')
    if (this.#signature && own !== this.#signature) {
      wrong('signature', this.#signature, members.isEmpty() ? `${own}; a predictor's is fixed: start another one` : own)
    }
    if (!this.#apart && known && fingerprint && fingerprint !== known && !members.isEmpty()) {
      wrong('fingerprint', `the model's, ${known}`, fingerprint)
    }
  }
}

/** Whether the worker belongs to another predictor. */
function isInUse(worker: ModelWorker): boolean {
  try {
    return worker.onFree !== undefined
  } catch {
    return false
  }
}

/** Gives the event loop a turn. */
function breath(clock: Clock, isIdle = false): Promise<void> {
  return new Promise((resolve) => clock.after(0, resolve, isIdle))
}

/** Calls `say` after a while, and then repeatedly. @returns ends that */
function remind(clock: Clock, say: () => void): () => void {
  const again = () => {
    say()
    cancel = clock.after(AGAIN_MS, again, true)
  }
  let cancel = clock.after(WAIT_MS, again, true)
  return () => cancel()
}

function graceOf(clock: Clock): { over: Promise<undefined>; cancel: () => void } {
  let cancel = () => {}
  const over = new Promise<undefined>((resolve) => {
    cancel = clock.after(GRACE_MS, () => resolve(undefined), true)
  })
  return { over, cancel }
}

/** Closes a worker; one that cannot be closed is left as it is. */
async function shut(worker: ModelWorker): Promise<void> {
  try {
    await worker.close()
  } catch {}
}
