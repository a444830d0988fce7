/**
 * Workers on machines that connect to the gateway themselves, over any link, and are found by their heartbeats. Each worker has its own
 * address, so that the predictor chooses the worker of each query. `machine.ts` is the other end.
 */

import { fingerprintOf, readModel } from '../onnx/model-file'
import { MOST_WORKERS, RemoteFleet } from '../remote/fleet'
import { Census } from '../remote/model-votes'
import type { Change } from '../worker'
import { Conversations } from './conversations'
import { Handshakes } from './handshakes'
import { type Heartbeat, isAgain } from './heartbeat'
import { HeartbeatVerifier } from './heartbeat-verifier'
import type { Link } from './link'
import { Macs } from './macs'
import type { FleetSettings } from './options'
import { RefusedWorkers } from './refused-workers'
import type { Verify } from './signed-heartbeat'
import { type FleetGateway, MachineWorker, type Peer } from './worker'

export interface MachineChanges extends AsyncIterableIterator<Change> {
  /** Messages that were dropped because their signature or MAC was missing or wrong, or because they were replayed. */
  readonly forged: number
}

/**
 * The workers of a fleet, for a predictor's option `workers`. The link is opened when the first change is read, and closed when the
 * iteration ends.
 *
 * @param open  opens a link for this fleet alone
 * @returns the iteration throws ApproxiferError MODEL if the model cannot be read, and the errors of `open`
 */
export function machineWorkers(settings: FleetSettings, open: () => Promise<Link>): MachineChanges {
  const { clock, report: warn, forgeries } = settings
  let opened: Promise<MachineFleet | undefined> | undefined
  const fleet: RemoteFleet<string> = new RemoteFleet({
    ...{ warn, clock },
    onStart() {
      opened = MachineFleet.open(open, settings, fleet).catch((error) => void fleet.changes.end(error))
    },
    onReturn: async () => (await opened)?.close(),
  })
  return Object.defineProperty(fleet.changes, 'forged', { get: () => forgeries.count }) as unknown as MachineChanges
}

/** How often workers are checked for missed heartbeats. */
const SWEEP_MS = 100
/** A worker with open calls is pinged when its heartbeat is later than this many intervals. */
const ASK_AFTER = 1.3

class MachineFleet implements FleetGateway {
  readonly conversations: Conversations
  /** Workers by name. A closed worker stays while it sends heartbeats, so that it does not join again. */
  readonly #workers = new Map<string, MachineWorker>()
  readonly #refused = new RefusedWorkers()
  readonly #handshakes: Handshakes
  readonly #heartbeats: HeartbeatVerifier
  /** The model of each machine, updated incrementally so that a heartbeat costs the same however many workers there are. */
  readonly #census = new Census<string>()
  /** When the connection broke; undefined while it is connected. */
  #lostAt: number | undefined
  #cancelSweep: () => void = () => {}

  private constructor(
    readonly link: Link,
    readonly settings: FleetSettings,
    readonly macs: Macs,
    private readonly fleet: RemoteFleet<string>,
  ) {
    this.conversations = new Conversations(link, macs.own)
    this.#handshakes = new Handshakes(this, (beat, peer) => this.#proven(beat, peer))
    const known = (name: string) => this.#workers.get(name)
    this.#heartbeats = new HeartbeatVerifier(link, settings, known, (beat, verify) => this.#receive(beat, verify))
    this.#census.liars = fleet.liars ?? 0
    link.listen(link.addresses.heartbeats, (message) => this.#heartbeats.hear(message))
    link.follow({
      lost: () => this.#interrupted(),
      back: () => this.#resumed(),
      ended: () => this.#ended(),
    })
    link.say(link.addresses.rollCall)
    this.#sweepLater()
  }

  /** @returns undefined if the reader has ended the iteration meanwhile */
  static async open(
    open: () => Promise<Link>,
    settings: FleetSettings,
    fleet: RemoteFleet<string>,
  ): Promise<MachineFleet | undefined> {
    const { model, fingerprint } = settings
    fleet.model = model === undefined ? fingerprint : fingerprintOf(await readModel(model))
    const macs = await Macs.make('gateway')
    const link = await open()
    if (!fleet.changes.isOver) return new MachineFleet(link, settings, macs, fleet)
    await link.close()
  }

  async close(): Promise<void> {
    this.#cancelSweep()
    this.fleet.changes.end()
    for (const worker of [...this.#workers.values()]) void worker.close()
    await this.link.close()
  }

  /** The connection was closed for good: all workers leave. */
  #ended(): void {
    if (this.fleet.changes.isOver) return
    const why = 'the connection was closed'
    this.#cancelSweep()
    this.settings.report(`fleet ${this.settings.fleet}: ${why}`)
    for (const worker of [...this.#workers.values()]) this.#remove(worker, why)
    this.fleet.changes.end()
  }

  // Heartbeats.

  #receive(beat: Heartbeat, verify?: Verify): void {
    if (this.fleet.changes.isOver) return
    const { name, fingerprint } = beat
    const known = this.#workers.get(name)
    const isIts = known?.signed === beat.signed && (!beat.signed || known.identity === beat.identity)
    if (!known) this.#receiveNew(beat, verify)
    else if (isIts && isAgain(known.beat, beat)) return
    else if (isIts && fingerprint === known.fingerprint) this.#receiveKnown(known, beat)
    else if (isIts) {
      this.#remove(known, 'has another model now')
      this.#receiveNew(beat, verify)
    } else if (known.signed) this.settings.forgeries.drop(name)
    else this.#receiveNew(beat, verify)
    this.#reconsider()
  }

  /** A heartbeat of a worker that has not joined, or of a signed worker whose name an unsigned worker uses. */
  #receiveNew(beat: Heartbeat, verify: Verify | undefined): void {
    const { name, state, fingerprint } = beat
    const refused = this.#refused.get(name)
    const isIts = refused !== undefined && isOneAs(refused.beat, beat)
    if (isIts && isAgain(refused.beat, beat)) return
    if (state !== 'up' && state !== 'down') {
      if (isIts) this.#forgetRefused(name)
    } else if (isIts && refused.beat.fingerprint === fingerprint) this.#proven(beat, refused.peer)
    else if (refused?.beat.signed && !isIts) this.settings.forgeries.drop(name)
    else this.#handshakes.hear(beat, verify)
  }

  /** A new worker has completed its handshake. An unsigned worker is removed if a signed worker has the same name. */
  #proven(beat: Heartbeat, peer: Peer | undefined): void {
    if (this.fleet.changes.isOver) return
    const known = this.#workers.get(beat.name)
    if (known && (known.signed || !beat.signed)) return
    if (known) this.#remove(known, 'was replaced by a worker with a key and the same name')
    this.#join(beat, peer)
    this.#reconsider()
  }

  #receiveKnown(worker: MachineWorker, beat: Heartbeat): void {
    const { isClosed, name } = worker
    const before = worker.beat.state
    worker.receive(beat)
    if (isClosed) {
      if (beat.state === 'gone') this.#workers.delete(name)
    } else if (beat.state === 'gone') this.#remove(worker, 'has left')
    else {
      this.#count(beat, true)
      if (beat.state === 'draining' && before !== 'draining') this.fleet.leave(name, 'drain')
      else this.fleet.well(name)
    }
  }

  #join(beat: Heartbeat, peer: Peer | undefined): void {
    const { name, fingerprint } = beat
    if (!this.#isOurs(beat)) return this.#refuse(beat, peer)
    if (this.#workers.size >= MOST_WORKERS) {
      return this.settings.warn(`${name} is one worker too many: ${MOST_WORKERS} are known`)
    }
    this.#refused.delete(name) // otherwise it would join again when its model becomes the fleet's
    this.fleet.model ??= fingerprint
    this.#census.own = this.fleet.model
    this.#refused.signature ??= JSON.stringify(beat.signature)
    const worker = new MachineWorker(beat, this, peer)
    this.#workers.set(name, worker)
    this.#count(beat, true)
    this.fleet.join(worker)
  }

  /** Whether the worker has the fleet's model. A worker without a fingerprint is accepted unless the caller has chosen the model. */
  #isOurs({ fingerprint }: Heartbeat): boolean {
    const { model, isApart } = this.fleet
    if (isApart && !this.settings.isFixed) return true
    return model === undefined || fingerprint === model || (fingerprint === undefined && !this.settings.isFixed)
  }

  #refuse(beat: Heartbeat, peer: Peer | undefined): void {
    const { name, fingerprint = 'unknown' } = beat
    const isNews = this.#refused.hear(beat, peer, this.settings.clock.now())
    if (this.#refused.get(name)?.fits) this.#count(beat, true)
    if (isNews)
      this.settings.warn(`${name} was refused: its model is another (${fingerprint}, not ${this.fleet.model})`, name)
  }

  #forgetRefused(name: string): void {
    this.#refused.delete(name)
    this.#census.forget(name)
  }

  /** Counts a worker's vote for its model; refused workers vote as well. @param there  it can be reached */
  #count({ name, identity, state, signed, fingerprint = this.fleet.model }: Heartbeat, there: boolean): void {
    const isDoubted = this.fleet.liars !== undefined && !signed
    if (fingerprint === undefined || isDoubted || (state !== 'up' && state !== 'down')) this.#census.forget(name)
    else
      this.#census.see(name, { identity, trusted: signed && this.settings.trusts(identity), model: fingerprint, there })
  }

  /** If more machines have another model, that becomes the fleet's: its workers join, and those with the old model leave. */
  #reconsider(): void {
    if (this.settings.isFixed || this.fleet.changes.isOver) return
    const before = this.fleet.model
    const next = this.fleet.succeed(this.#census.successor)
    if (next === undefined) return
    this.#census.own = next
    this.settings.warn(
      `more machines have the model ${next} than have ${before}: it replaces the fleet's model, and what was learned of that is forgotten`,
    )
    // No query may fail: the model change is announced first, and the new workers join before the old ones leave.
    this.fleet.changes.push({ model: next }, () => this.#replace())
  }

  #replace(): void {
    const old = [...this.#workers.values()].filter((worker) => !this.#isOurs(worker.beat))
    for (const { beat, peer } of this.#refused.values()) {
      if (this.#isOurs(beat)) this.#join(beat, peer)
    }
    for (const worker of old) if (!worker.isClosed) this.#remove(worker, 'has the old model')
  }

  #remove(worker: MachineWorker, why: string): void {
    worker.lose(why)
    this.#workers.delete(worker.name)
    this.#census.forget(worker.name)
    this.fleet.leave(worker.name, 'remove')
  }

  /** Marks a worker as lost; its calls are sent to others. */
  #lose(worker: MachineWorker, why: string): void {
    worker.lose(why)
    this.#count(worker.beat, false)
    this.fleet.lost(worker.name, `${worker.name} was lost: it ${why}`)
  }

  notListening(worker: MachineWorker): void {
    if (worker.isThere) this.#lose(worker, 'is gone: nobody listens at its address')
    this.#reconsider()
  }

  closed({ name }: MachineWorker): void {
    this.#census.forget(name)
    this.fleet.left(name)
  }

  // Missed heartbeats.

  #sweepLater(): void {
    const { clock } = this.settings
    const due = clock.now() + SWEEP_MS
    this.#cancelSweep = clock.after(SWEEP_MS, () => this.#sweep(due), true)
  }

  #sweep(due: number): void {
    const { clock, expireMs, forgetMs, missed } = this.settings
    const now = clock.now()
    if (this.#lostAt === undefined) {
      const unheard = now - due > SWEEP_MS ? now - due : 0 // this process was busy or the machine slept, so heartbeats could not be read
      for (const worker of [...this.#workers.values()]) this.#checkSilence(worker, now, unheard)
    } else if (now - this.#lostAt > expireMs) {
      for (const worker of this.#workers.values()) worker.lose('cannot be reached: there is no connection')
    }
    for (const [name, { beat, lastSeenAt: heardAt, fits }] of this.#refused) {
      if (now - heardAt > forgetMs) this.#forgetRefused(name)
      else if (fits && now - heardAt > missed * beat.everyMs) this.#count(beat, false)
    }
    this.#handshakes.sweep()
    this.#heartbeats.sweep(now - forgetMs)
    this.#reconsider()
    this.#sweepLater()
  }

  /** @param unheard  milliseconds in which heartbeats could not be read */
  #checkSilence(worker: MachineWorker, now: number, unheard: number): void {
    const { missed, forgetMs } = this.settings
    worker.lastSeenAt += unheard
    const silence = now - worker.lastSeenAt
    const beats = silence / worker.beat.everyMs
    if (silence > forgetMs) {
      const why = `was not heard for ${forgetMs} ms`
      if (worker.isClosed) return void this.#workers.delete(worker.name)
      this.#lose(worker, why)
      this.#remove(worker, why)
    } else if (worker.gone) return
    else if (beats > missed) this.#lose(worker, `missed ${missed} heartbeats`)
    else if (beats > ASK_AFTER && worker.open) worker.ping()
  }

  #interrupted(): void {
    if (this.#lostAt !== undefined || this.fleet.changes.isOver) return
    this.#lostAt = this.settings.clock.now()
    this.settings.report(`fleet ${this.settings.fleet}: the connection was lost; it is tried again for ever`)
    for (const worker of this.#workers.values()) worker.interrupt()
  }

  #resumed(): void {
    const now = this.settings.clock.now()
    if (this.#lostAt !== undefined) this.settings.report(`fleet ${this.settings.fleet}: the connection is back`)
    this.#lostAt = undefined
    for (const worker of this.#workers.values()) worker.lastSeenAt = now // no heartbeat could arrive while the connection was lost
    this.link.say(this.link.addresses.rollCall)
  }
}

/** Whether two heartbeats are of the same worker. */
function isOneAs(one: Heartbeat, other: Heartbeat): boolean {
  return one.identity === other.identity && one.signed === other.signed && one.secret === other.secret
}
