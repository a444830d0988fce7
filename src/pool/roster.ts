/** Every worker in one state, and those with a free slot, fastest first. Counts change in the one place where workers move between states. */

import TinyQueue from 'tinyqueue'
import type { Clock } from '../clock'
import { Identities } from './identities'
import type { Member, MemberState, WorkerSlot } from './member'

/** Entries of free slots that may be out of date, beyond twice as many as there are workers, before they are sorted out. */
const OUT_OF_DATE = 1000

/** Of how long ago the utilisation tells, ms: older times count for less by a factor of e. */
const RECENT_MS = 500

const READY: MemberState = Object.freeze({ is: 'ready' })
const EJECTED: MemberState = Object.freeze({ is: 'unavailable', why: 'ejected' })
const GONE: MemberState = Object.freeze({ is: 'unavailable', why: 'gone' })
const DOWN: MemberState = Object.freeze({ is: 'unavailable', why: 'down' })
const LEAVING: MemberState = Object.freeze({ is: 'leaving' })

export class Roster {
  readonly identities = new Identities()
  readonly capacity = new Capacity()
  readonly utilisation: Utilisation
  /** Those that left, while they have attempts. */
  readonly leaving = new Set<Member>()
  /** By name; written here alone. */
  readonly members = new Map<string, Member>()
  readonly #ejected = new Set<Member>()
  /** Those that would get attempts, but are not free. */
  readonly #down = new Set<Member>()
  readonly #free = new FreeSlots()
  /** Told when attempts that are queued may have no worker left. */
  readonly strand: () => void
  readonly #left: (member: Member) => void

  /**
   * @param strand  told when there are fewer usable workers
   * @param left    told of those that left, once they have no attempts
   */
  constructor(clock: Clock, strand: () => void, left: (member: Member) => void) {
    this.utilisation = new Utilisation(clock, this.capacity)
    this.strand = strand
    this.#left = left
  }

  /** The first ejected one that will do; the others come before it the next time. */
  findEjected(willDo: (member: Member) => boolean): Member | undefined {
    for (const member of this.#ejected) {
      if (!willDo(member)) continue
      this.#ejected.delete(member)
      this.#ejected.add(member)
      return member
    }
  }

  add(member: Member, ejected: boolean): void {
    this.utilisation.add(0) // so far it did not count
    this.members.set(member.worker.name, member)
    this.identities.add(member.worker)
    this.capacity.count(member, 1)
    if (ejected) this.#ejected.add(member)
    this.update(member)
  }

  /** It is no member any more: nothing that is told of all counts it. */
  leave(member: Member): void {
    this.utilisation.add(0) // so far it counted
    this.members.delete(member.worker.name)
    this.#ejected.delete(member)
    this.leaving.add(member)
    this.#move(member, LEAVING)
    this.#free.list(member, this.members.size)
    this.identities.remove(member.worker)
    this.#discharge(member)
  }

  #discharge(member: Member): void {
    if (member.slots.open || !this.leaving.delete(member)) return
    this.#left(member)
  }

  /** Every worker of this identity. */
  eject(identity: string, ejected: boolean): void {
    for (const { name } of this.identities.workersOf(identity)) {
      const member = this.members.get(name) as Member
      if (ejected) this.#ejected.add(member)
      else this.#ejected.delete(member)
      this.update(member)
    }
  }

  /** A slot of a worker is taken. */
  occupy(member: Member): WorkerSlot {
    if (member.state === READY && member.slots.hasRoom) this.capacity.free--
    const slot = member.slots.free.pop() ?? member.slots.more()
    this.#free.list(member, this.members.size)
    return slot
  }

  /** A slot is free. */
  vacate(slot: WorkerSlot): void {
    const { member } = slot
    slot.batch = undefined
    member.slots.held.delete(slot)
    member.slots.free.push(slot)
    if (member.state === READY && member.slots.hasRoom) this.capacity.free++
    if (member.state === LEAVING) this.#discharge(member)
    this.update(member)
  }

  /** A slot's attempts are settled, but its worker has to say that it is free. */
  hold(slot: WorkerSlot): void {
    slot.member.slots.held.add(slot)
    this.#discharge(slot.member)
  }

  /** What a worker is by what it says of itself now. */
  update(member: Member): void {
    if (member.state === LEAVING) return
    const { width } = member
    if (width !== member.slots.limit) this.#resize(member, width)
    this.#move(member, this.#stateOf(member))
    this.#free.list(member, this.members.size)
  }

  /** A worker takes more or fewer at once than before. */
  #resize(member: Member, slots: number): void {
    this.utilisation.add(0) // so far there were as many as before
    this.capacity.count(member, -1)
    member.slots.limit = slots
    this.capacity.count(member, 1)
  }

  #stateOf(member: Member): MemberState {
    if (this.#ejected.has(member)) return EJECTED
    const { hasRoom } = member.slots
    if (hasRoom && member.isFree) return READY
    if (member.isGone) return GONE
    return hasRoom ? DOWN : READY // whether it is free shows when it has room
  }

  /** The one writer of a state. */
  #move(member: Member, state: MemberState): void {
    this.#down.delete(member) // and in again as the last
    if (state === DOWN || state === GONE) this.#down.add(member)
    if (member.state === state) return
    const wasUsable = isUsable(member.state)
    this.capacity.count(member, -1)
    member.state = state
    this.capacity.count(member, 1)
    if (isUsable(state) === wasUsable) return
    this.identities.use(member.worker, !wasUsable)
    if (wasUsable) this.strand()
  }

  /** Those that are down may be free, and have forgotten to say so. @param most  of them that are asked, in turn */
  recheck(most: number): void {
    for (let left = Math.min(most, this.#down.size); left > 0; left--) {
      const [member] = this.#down
      this.update(member)
    }
  }

  /** Takes the fastest worker with a free slot out, until it is listed again. */
  takeFastest(): Member | undefined {
    while (true) {
      const member = this.#free.take()
      if (!member || member.isFree) return member
      this.update(member)
    }
  }

  /** Workers that could take an attempt now. */
  get free(): number {
    let free = 0
    for (const member of this.members.values()) if (member.slots.hasRoom && member.isFree) free++
    return free
  }

  /** A sentence that says why no worker may take an attempt. */
  get nobody(): string {
    const { size } = this.members
    const ejected = this.#ejected.size
    const gone = size - ejected // where none is usable
    if (!size) return 'no worker is left: all were removed or drained, or have another model'
    const { workers } = this.capacity
    if (workers) return `all workers that can be reached, ${workers} of ${size}, were asked already`
    const which = [
      gone && `${gone} of ${size} cannot be reached, or have another model, for now`,
      ejected && `${ejected} of ${size} quarantined`,
    ]
    return `no worker may take a query: ${which.filter(Boolean).join(', ')}`
  }
}

/** A worker with a free slot, as it was when it was listed. */
interface FreeEntry {
  readonly member: Member
  readonly stamp: number
  readonly slowness: number
}

/**
 * Workers with a free slot, the fastest first, of equal ones the one listed first. One with several slots counts as the slower the more of
 * them are taken, up to twice as slow: as much as makes no difference between two workers, so that none is passed over for it.
 */
class FreeSlots {
  #entries = new TinyQueue<FreeEntry>([], faster)
  #stamps = 0

  /** An entry that it has already no longer counts, and it has none where it is not ready or has no room. @param size  how many workers there are */
  list(member: Member, size: number): void {
    const { slots, speed } = member
    if (member.state !== READY || !slots.hasRoom) {
      member.stamp = 0
      return
    }
    member.stamp = ++this.#stamps
    const slowness = speed.slowness * (1 + slots.busy / slots.limit)
    this.#entries.push({ member, stamp: member.stamp, slowness })
    if (this.#entries.length < 2 * size + OUT_OF_DATE) return
    this.#entries = new TinyQueue(this.#entries.data.filter(({ member, stamp }) => stamp === member.stamp), faster) // biome-ignore format: one line
  }

  take(): Member | undefined {
    while (true) {
      const entry = this.#entries.pop()
      if (!entry) return undefined
      if (entry.stamp !== entry.member.stamp) continue
      entry.member.stamp = 0
      return entry.member
    }
  }
}

function faster(a: FreeEntry, b: FreeEntry): number {
  return a.slowness === b.slowness ? a.stamp - b.stamp : a.slowness - b.slowness
}

/** Whether it may get attempts, now or in a moment: it starts again, or was not heard of for a while. */
function isUsable(state: MemberState): boolean {
  return state.is === 'ready' || (state.is === 'unavailable' && state.why === 'down')
}

/** What the members add up to. */
class Capacity {
  /** Slots: all, those of usable workers, and the free ones of workers that are ready. */
  slots = 0
  usable = 0
  free = 0
  /** Usable workers. */
  workers = 0
  /** Rows that one of them has taken in a run at most. */
  mostRows = 1

  count({ state, slots, batching }: Member, sign: 1 | -1): void {
    if (state.is === 'leaving') return
    if (batching) this.mostRows = Math.max(this.mostRows, batching.most)
    this.slots += sign * slots.limit
    if (state.is === 'ready') this.free += sign * Math.max(0, slots.limit - slots.busy)
    if (!isUsable(state)) return
    this.usable += sign * slots.limit
    this.workers += sign
  }
}

/** Share of the slots that were at work on what cannot be done without, in the last half second or so. */
class Utilisation {
  #busy = 0
  #share = 0
  #at: number

  constructor(
    readonly clock: Clock,
    readonly capacity: Capacity,
  ) {
    this.#at = clock.now()
  }

  /** @param more  slots at such work from now on */
  add(more: number, now = this.clock.now()): void {
    const share = Math.min(1, this.#busy / Math.max(1, this.capacity.slots)) // those that leave may be at work yet
    this.#share = share + (this.#share - share) * Math.exp((this.#at - now) / RECENT_MS)
    this.#at = now
    this.#busy += more
  }

  get value(): number {
    this.add(0)
    return this.#share
  }
}
