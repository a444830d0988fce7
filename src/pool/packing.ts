/** Decides which attempts share a run of the model. */

import { Batch, type PooledAttempt } from './batch'
import type { Member, WorkerSlot } from './member'
import { LOOKAHEAD, type Queue } from './queue'
import type { Roster } from './roster'
import type { Scaling } from './time-by-size'

/** A run may take at most this share of the time after which its worker counts as hanging. */
const SAFE = 0.25

/** Makes batches of one attempt, or of several if that pays. */
export class Packing {
  constructor(
    private readonly hangMs: number,
    private readonly queue: Queue,
    private readonly roster: Roster,
    private readonly scaling: Scaling,
  ) {}

  /**
   * Takes a batch for a worker from the queue.
   *
   * @param first     queued; part of the batch in any case
   * @param startsAt  when the worker can begin
   * @param busy      the slot that it is sent ahead to
   */
  pack(member: Member, first: PooledAttempt, startsAt: number, busy?: WorkerSlot): Batch {
    const { batching } = member
    const most = batching ? this.#most(member, first, startsAt) : 1
    const size = batching && most > 1 ? batching.next(most) : 1
    const attempts = size > 1 ? this.#together(member, first, size, startsAt, busy) : [first]
    for (const attempt of attempts) this.queue.remove(attempt, attempts)
    const each = this.scaling.factor(attempts)
    if (most === 1 || !batching) return new Batch(attempts, each)
    const { length } = attempts
    return new Batch(attempts, batching.factor(length) * each, batching.knows(length), true)
  }

  /** The number of queries that may share a run now, a power of two: no more than are queued for each slot, nor than the first one has time for. */
  #most(member: Member, first: PooledAttempt, startsAt: number): number {
    const rows = member.batching?.most ?? 1
    const share = Math.min(rows, this.queue.needed / Math.max(1, this.roster.capacity.slots))
    if (share < 2 || member.passOver || first.isAlone || first.priority === 'low') return 1
    const leftMs = Math.min(first.dueAt - startsAt, SAFE * this.hangMs)
    let most = 2 ** Math.floor(Math.log2(share))
    const each = this.scaling.factor([first])
    while (most > 1 && !(member.runMs(most) * each <= leftMs)) most /= 2
    return most
  }

  /** An attempt and those that may join it, among the next ones, so that none is overtaken for long. */
  #together(
    member: Member,
    first: PooledAttempt,
    size: number,
    startsAt: number,
    busy: WorkerSlot | undefined,
  ): PooledAttempt[] {
    const attempts = [first]
    const each = this.scaling.factor(attempts)
    const endsAt = startsAt + member.runMs(size) * each
    const joins = (attempt: PooledAttempt) => {
      const isApart = attempts.some((each) => each.isApartFrom(attempt)) || !this.scaling.areAlike(attempt, first)
      const mayJoin = attempt.shapeKey === first.shapeKey && !attempt.isAlone && attempt.dueAt >= endsAt && !isApart
      if (mayJoin && attempt !== first && attempt.mayGoTo(member.identity, busy)) attempts.push(attempt)
      return attempts.length === size
    }
    this.queue.find(0, joins, Math.min(LOOKAHEAD, size * this.roster.capacity.slots))
    return attempts.slice(0, 2 ** Math.floor(Math.log2(attempts.length)))
  }
}
