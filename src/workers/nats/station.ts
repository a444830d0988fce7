/**
 * One worker of a machine in a fleet: it listens for rows, says how it is, and tells operators' tools what it did (`nats micro ls`,
 * `info`, `stats`): the services protocol of NATS, version 1 (ADR-32), spoken here since its library is a pre-release.
 */

import type { ModelWorker } from '../worker'
import { Arrivals } from './arrivals'
import type { NatsLink, NatsMessage } from './connection'
import { type Frame, VERSION } from './frames'
import { type Heartbeat, toJson } from './heartbeat'
import type { ServeSettings } from './options'
import { type MachineKeys, Outbox } from './outbox'
import { Responder } from './responder'

/** What the workers of one machine share. */
export interface MachineState {
  /** Of all its workers that are not down. */
  readonly state: 'up' | 'draining' | 'gone'
  /** Counts its connections. */
  readonly connection: number
  /** Its identity, and whether that is its key. */
  readonly owner: { identity: string; signed: boolean }
}

/** Of the protocol between coordinators and workers, as services must have one. */
const SERVICE_VERSION = '1.0.0'
const NANOSECONDS = 1e6

export class Station {
  readonly outbox: Outbox
  readonly responder: Responder
  readonly #startedAt = new Date()

  constructor(
    readonly name: string,
    readonly worker: ModelWorker,
    private readonly machine: MachineState,
    private readonly link: NatsLink,
    private readonly settings: ServeSettings,
    keys: MachineKeys | undefined,
  ) {
    this.outbox = new Outbox(link, this.subject, keys)
    this.responder = new Responder(worker, settings, this.outbox, () => this.beat())
    const receive = (frame: Frame, to: string) => this.responder.receive(frame, to)
    const arrivals = new Arrivals(this.subject, keys?.seals, settings.forgeries, receive)
    link.needs.add(this.subject).add(this.#beats)
    link.listen(this.subject, ({ data, reply }) => {
      if (reply) arrivals.take(data, reply)
    })
    link.listen(`$SRV.*.${settings.fleet}.${name}`, (message) => this.describe(message))
  }

  beat(): void {
    const { signature, fingerprint, interruptible, scales } = this.worker
    const { state, connection } = this.machine
    const { beatMs } = this.settings
    const { identity } = this.machine.owner
    const { isDown, open, stats } = this.responder
    const beat: Omit<Heartbeat, 'signed'> = {
      ...{ version: VERSION, name: this.name, identity, fingerprint, signature, interruptible, scales },
      ...{
        state: state === 'up' && isDown ? 'down' : state,
        everyMs: beatMs,
        connection,
        open,
        slots: stats.slots,
        ms: stats.ms,
      },
    }
    this.outbox.beat(this.#beats, beat)
  }

  get subject(): string {
    return this.settings.subjects.worker(this.#owner)
  }

  get #beats(): string {
    return this.settings.subjects.beat(this.#owner)
  }

  get #owner() {
    return { ...this.machine.owner, name: this.name }
  }

  /** Answers an operator's tool. Its question is the verb of a subject such as $SRV.PING, $SRV.PING.fleet or $SRV.PING.fleet.id. */
  describe({ subject, reply }: NatsMessage): void {
    const verb = subject.split('.')[1]
    if (!reply || (verb !== 'PING' && verb !== 'INFO' && verb !== 'STATS')) return
    const { fleet } = this.settings
    const metadata = { 'approxifer.fingerprint': this.worker.fingerprint ?? 'unknown' }
    const endpoint = { name: 'rows', subject: this.subject, queue_group: '' }
    const described = {
      PING: {},
      INFO: {
        description: 'approxifer worker: runs one model, a row at a time',
        endpoints: [{ ...endpoint, metadata: {} }],
      },
      STATS: { started: this.#startedAt.toISOString(), endpoints: [{ ...endpoint, ...this.#counts() }] },
    }
    const type = `io.nats.micro.v1.${verb.toLowerCase()}_response`
    const answer = { type, name: fleet, id: this.name, version: SERVICE_VERSION, metadata, ...described[verb] }
    try {
      this.link.publish(reply, toJson(answer))
    } catch {} // the connection is being closed
  }

  #counts() {
    const { stats, open } = this.responder
    const { requests, errors, lastError, busyMs, cancelled, expired, ms } = stats
    const answered = requests - errors - cancelled - open
    return {
      num_requests: requests,
      num_errors: errors,
      last_error: lastError,
      processing_time: Math.round(busyMs * NANOSECONDS),
      average_processing_time: answered > 0 ? Math.floor((busyMs / answered) * NANOSECONDS) : 0,
      data: { open, median_ms: ms, cancelled, expired },
    }
  }
}
