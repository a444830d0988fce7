/** Every worker in one state, and those with a free slot, fastest first. Counts change in the one place where workers move between states. */

import TinyQueue from 'tinyqueue'
import type { Clock } from '../base/clock'
import type { ModelWorker } from '../workers/worker'
import type { Identity } from './attempt'
import { Identities } from './identities'
import type { Machine } from './machine'
import { type Member, type MemberState, WorkerSlot } from './member'
import { Rest } from './rest'

/** Entries of free slots that may be out of date, beyond twice as many as there are workers, before they are sorted out. */
const OUT_OF_DATE = 1000

/** Of how long ago the utilisation tells, ms: older times count for less by a factor of e. */
const RECENT_MS = 500
/**
 * In the beginning it is as if all workers had been idle for so long, ms: hedges and parities are weighed by that. As if they had been idle for ever,
 * a fleet of 100 workers at load .9 sent so many hedges in its first second that the median was up to four times a plain queue's.
 */
const IDLE_MS = 100

/** @param what  it cannot be reached, it is back, or it takes so many calls at once */
export type WorkerChanged = (worker: ModelWorker, identity: Identity, what: 'lost' | 'back' | number) => void

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
  /** Those with a free slot, the fastest first, of equal ones the one listed first. */
  #free = new TinyQueue<FreeEntry>([], faster)
  #stamps = 0

  /**
   * @param strand  told when there are fewer usable workers: attempts that are queued may have none left
   * @param left    told of those that left, once they have no attempts
   * @param freed   told when slots may be free, and which worker has done with a batch, if that is why
   * @param isWaited  whether queries wait
   */
  constructor(
    private readonly clock: Clock,
    readonly strand: () => void,
    private readonly left: (member: Member) => void,
    readonly freed: (member?: Member) => void,
    private readonly isWaited: () => boolean,
    private readonly changed: WorkerChanged = () => {},
  ) {
    this.utilisation = new Utilisation(clock, this.capacity)
  }

  /** The first ejected one that is idle and will do; the others come before it the next time. */
  findEjected(mayTake: (identity: Identity) => boolean): Member | undefined {
    let refused: Member | undefined // a machine that has thousands of names is asked about once
    for (const member of this.#ejected) {
      const { machine, slots } = member
      if (refused?.isBeside(member)) continue
      if (machine.room < 1 || !mayTake(member.identity)) refused = member
      if (member === refused || slots.busy || !member.isFree) continue
      this.#ejected.delete(member)
      this.#ejected.add(member)
      return member
    }
  }

  add(member: Member, ejected: boolean): void {
    this.members.set(member.worker.name, member)
    member.machine = this.identities.add(member.worker)
    if (ejected) this.#ejected.add(member)
    this.update(member)
  }

  /** It is no member any more: nothing that is told of all counts it. */
  leave(member: Member): void {
    this.members.delete(member.worker.name)
    this.#ejected.delete(member)
    this.leaving.add(member)
    this.#move(member, 'leaving')
    this.#list(member)
    this.identities.remove(member.worker)
    this.#discharge(member)
  }

  #discharge(member: Member): void {
    if (member.slots.open || !this.leaving.delete(member)) return
    this.left(member)
  }

  eject(identity: string, ejected: boolean): void {
    for (const { name } of [...this.identities.workersOf(identity)]) {
      const member = this.members.get(name) as Member
      if (ejected) this.#ejected.add(member)
      else this.#ejected.delete(member)
      this.update(member)
    }
  }

  occupy(member: Member): WorkerSlot {
    const { machine, slots } = member
    if (member.state === 'ready' && slots.hasRoom) machine.slots.free--
    let slot = slots.free.pop()
    if (!slot) {
      slot = new WorkerSlot(member)
      slots.all.push(slot)
    }
    slots.busy++
    machine.taken++
    this.#list(member)
    return slot
  }

  /** A slot is free; its machine keeps it for a while where it left an attempt without an answer, unless there is no other machine. */
  vacate(slot: WorkerSlot): void {
    const { member, silentMs } = slot
    const { machine, slots } = member
    const pauseMs = silentMs && this.identities.usable > 1 ? machine.silent(silentMs) : 0
    slot.batch = undefined
    slot.silentMs = 0
    slots.held.delete(slot)
    slots.free.push(slot)
    slots.busy--
    if (member.state === 'ready' && slots.hasRoom) machine.slots.free++
    if (pauseMs) this.clock.after(pauseMs, () => this.#resume(machine), true)
    else machine.taken--
    if (member.state === 'leaving') this.#discharge(member)
    this.update(member)
  }

  #resume(machine: Machine): void {
    machine.taken--
    this.#adjust(machine)
    this.freed()
  }

  /** A worker has answered: its machine may take more, and it has room for what it has refused. */
  answered(member: Member): void {
    member.machine.answered()
    this.#adjust(member.machine)
    if (!member.rest) return
    member.rest.end()
    member.rest = undefined
    this.update(member)
  }

  /** A worker is too busy for what it was sent: it gets nothing for a while. @param retryMs  what it said */
  refused(member: Member, sentAt: number, retryMs: number | undefined): void {
    const over = () => {
      this.update(member)
      this.freed()
    }
    member.rest ??= new Rest(this.clock, this.isWaited, over)
    member.rest.refused(sentAt, retryMs)
    this.update(member)
  }

  /** A slot's attempts are settled, but its worker has to say that it is free. */
  hold(slot: WorkerSlot): void {
    slot.member.slots.held.add(slot)
    this.#discharge(slot.member)
  }

  /** What a worker is by what it says of itself now. */
  update(member: Member): void {
    if (member.state !== 'leaving') {
      const { width } = member
      if (width !== member.slots.limit) this.#resize(member, width)
      this.#move(member, this.#stateOf(member))
    }
    this.#list(member)
  }

  /** A worker takes more or fewer at once than before. */
  #resize(member: Member, slots: number): void {
    this.utilisation.add(0)
    this.capacity.count(member, -1)
    member.slots.limit = slots
    this.changed(member.worker, member.identity, slots)
    this.capacity.count(member, 1)
  }

  /** A worker with room waits for its machine to list it. */
  #list(member: Member): void {
    const { machine, state, slots } = member
    if (member.stamp) machine.listed--
    if (member.place !== undefined) machine.waiting.remove(member.place)
    member.stamp = 0
    member.place = state === 'ready' && slots.hasRoom ? machine.waiting.push(member) : undefined
    this.#adjust(machine)
  }

  /** What a machine may take may have changed: that is counted, and as many of its workers are among the free ones. */
  #adjust(machine: Machine): void {
    const { waiting } = machine
    this.capacity.recount(machine)
    for (let { first } = waiting; first && machine.mayList; first = waiting.first) {
      waiting.remove(first.place as number)
      first.place = undefined
      machine.listed++
      this.#enter(first)
    }
  }

  /**
   * Among those with a free slot. One with several counts as the slower the more of them are taken, up to twice as slow: as much as makes no
   * difference between two workers, so that none is passed over for it.
   */
  #enter(member: Member): void {
    member.stamp = ++this.#stamps
    const slowness = member.speed.slowness * (1 + member.slots.busy / member.limit)
    this.#free.push({ member, stamp: member.stamp, slowness })
    if (this.#free.length < 2 * this.members.size + OUT_OF_DATE) return
    const valid = this.#free.data.filter(({ member, stamp }) => stamp === member.stamp)
    this.#free = new TinyQueue(valid, faster)
  }

  #stateOf(member: Member): MemberState {
    if (this.#ejected.has(member)) return 'ejected'
    const { hasRoom } = member.slots
    if (hasRoom && member.isFree) return 'ready'
    if (member.isGone) return 'gone'
    return hasRoom ? 'down' : 'ready' // whether it is free shows when it has room
  }

  /** The one writer of a state. */
  #move(member: Member, state: MemberState): void {
    this.#down.delete(member) // and in again as the last
    if (state === 'down' || state === 'gone') this.#down.add(member)
    if (member.state === state) return
    const wasUsable = isUsable(member.state)
    this.utilisation.add(0) // so far there were as many slots as before
    this.capacity.count(member, -1)
    member.state = state
    this.capacity.count(member, 1)
    this.#tellReach(member)
    if (isUsable(state) === wasUsable) return
    this.identities.use(member.worker, !wasUsable)
    if (wasUsable) this.strand()
  }

  #tellReach(member: Member): void {
    const { state, isLost, worker, identity } = member
    if (isLost ? !isUsable(state) : state !== 'gone') return
    member.isLost = !isLost
    this.changed(worker, identity, isLost ? 'back' : 'lost')
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
    for (const machine of this.identities.connected.values()) {
      if (!machine.waiting.size) continue
      if (machine.room > 0)
        this.#adjust(machine) // a connection was given back while no query waited for it
      else machine.connections?.wait(this.#connected)
    }
    for (let entry = this.#free.pop(); entry; entry = this.#free.pop()) {
      const { member, stamp } = entry
      if (stamp !== member.stamp) continue
      member.stamp = 0
      member.machine.listed--
      const hasRoom = member.machine.room > 0
      if (hasRoom && member.isFree) return member
      // It is not asked again: what says now one thing, now the other would be asked for ever.
      if (hasRoom) this.#move(member, member.isGone ? 'gone' : 'down')
      else member.machine.connections?.wait(this.#connected)
      this.#list(member)
    }
  }

  /** Whether a runtime's limit of connections keeps workers from more calls. */
  get lacksConnections(): boolean {
    for (const { room } of this.identities.connected.values()) if (room < 1) return true
    return false
  }

  /** A connection is free. */
  readonly #connected = () => {
    for (const machine of this.identities.connected.values()) this.#adjust(machine)
    this.freed()
  }

  /** Members, and those that left while they have attempts. */
  get all(): Member[] {
    return [...this.members.values(), ...this.leaving]
  }

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

function faster(a: FreeEntry, b: FreeEntry): number {
  return a.slowness === b.slowness ? a.stamp - b.stamp : a.slowness - b.slowness
}

/** Whether it may get attempts, now or in a moment: it starts again, or was not heard of for a while. */
function isUsable(state: MemberState): boolean {
  return state === 'ready' || state === 'down'
}

/** What the members add up to. */
class Capacity {
  /** Slots of workers that may take attempts, and the free ones of those that are ready. */
  slots = 0
  free = 0
  /** Workers that may take attempts. */
  workers = 0
  /** Rows that one of them has taken in a run at most. */
  mostRows = 1

  count({ state, slots, batching, machine }: Member, sign: 1 | -1): void {
    if (!isUsable(state)) return
    if (batching) this.mostRows = Math.max(this.mostRows, batching.most)
    this.workers += sign
    machine.slots.all += sign * slots.limit
    if (state === 'ready') machine.slots.free += sign * Math.max(0, slots.limit - slots.busy)
  }

  /** A machine has other slots than before, or takes other ones: no more count than it may take. */
  recount({ slots, counted, limit, room }: Machine): void {
    const { all, free } = counted
    counted.all = Math.min(slots.all, limit)
    counted.free = Math.min(slots.free, Math.max(0, room))
    this.slots += counted.all - all
    this.free += counted.free - free
  }
}

/** Share of the slots that were at work on what cannot be done without, in the last half second or so. */
class Utilisation {
  #busy = 0
  #share = 0
  #at: number
  /** From when it would have been a mean of idle times, had it begun before. */
  readonly #since: number

  constructor(
    readonly clock: Clock,
    readonly capacity: Capacity,
  ) {
    this.#at = clock.now()
    this.#since = this.#at - IDLE_MS
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

  /** The same, of the time that there was. */
  get soFar(): number {
    return this.value / (1 - Math.exp((this.#since - this.#at) / RECENT_MS))
  }
}
