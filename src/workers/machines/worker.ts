/** The gateway's end of one worker in a fleet. */

import { type Abort, aborted, abortOf } from '../../base/abort'
import { ApproxiferError, asError } from '../../base/errors'
import type { Signature, TensorList } from '../../base/tensor'
import { isTraceparent } from '../../base/traceparent'
import { OpenCall } from '../open-call'
import { type ModelWorker, wrongQueries } from '../worker'
import type { Conversation, Conversations } from './conversations'
import { type Assembly, DOWN, decode, decodeError, encode, encodeValues, type Frame, markOf, UNLIMITED } from './frames'
import type { Heartbeat } from './heartbeat'
import type { Link } from './link'
import type { Channel, Macs } from './macs'
import { andThen, SerialQueue } from './maybe-promise'
import type { FleetSettings } from './options'
import { assemblyOf, pack, unpack } from './packing'
import type { Verify } from './signed-heartbeat'

/** The part of a fleet that its workers use. */
export interface FleetGateway {
  readonly settings: FleetSettings
  readonly link: Link
  readonly macs: Macs
  readonly conversations: Conversations
  /** Called when no one listens at the worker's address. */
  notListening(worker: MachineWorker): void
  closed(worker: MachineWorker): void
}

/** Authenticates a machine with a key: heartbeats by their signature, replies by their MAC. */
export interface Peer {
  verify: Verify
  channel: Channel
}

/** A call for one query. An aborted call stays open until the worker has replied. */
interface SentCall {
  readonly call: OpenCall
  readonly conversation: Conversation
  readonly parts: Assembly
  readonly expiresAt: number
  /** Undefined if there is none, or it is not a valid W3C traceparent. */
  readonly traceparent: string | undefined
  /** The highest sequence number of the replies so far: lower ones are replays. */
  lastSequence: number
  /** Whether the query was sent `once` or `again`; `never`: no one listened at the worker's address. */
  sent: 'once' | 'again' | 'never'
  /** When it was sent the last time. */
  sentAt: number
  /** Heartbeats in a row, since it was sent, that reported no open call at the worker. */
  idleBeats: number
}

/**
 * After more such heartbeats the call was lost on its way, provided as many intervals have passed: a process that was stopped, or a page that was
 * frozen, reads all heartbeats of that time at once, and has sent new calls before.
 */
const IDLE_BEATS = 2
/** How long a signed worker may still send a heartbeat after a notice that no one listens at its address, since that notice may be forged. */
const UNHEARD_MS = 250
const DROPPED = new ApproxiferError('ABORTED', 'the call was cancelled')

export class MachineWorker implements ModelWorker {
  // Set by the worker's first heartbeat.
  readonly name: string
  readonly identity: string
  readonly signed: boolean
  readonly trusted: boolean
  readonly origin: string | undefined
  readonly signature: Signature
  readonly fingerprint: string | undefined
  readonly scales: readonly number[] | undefined
  readonly slots: number
  /** Undefined, not false: an abort of a waiting call is useful in any case, since the worker's machine drops it. */
  readonly interruptible: true | undefined
  /** With one slot the next query is sent in advance; with several the network delay is hidden anyway. */
  readonly takesNext: boolean
  onFree: (() => void) | undefined
  /** The worker's address. */
  readonly address: string
  /** The worker's last heartbeat, and when it came. */
  beat: Heartbeat
  lastSeenAt: number
  readonly #gateway: FleetGateway
  readonly #calls = new Set<SentCall>()
  /**
   * `down`: the runtime under it has died; `away`: the connection is interrupted, and calls will be sent again; `lost`: it is silent, and
   * its calls were rejected.
   */
  #state: 'up' | 'down' | 'away' | 'lost' | 'closed'
  /** Processes messages in the order in which they came, so that an answer is read before a farewell. */
  readonly incoming = new SerialQueue()
  /** Sends frames in order, since computing a MAC may be asynchronous. */
  readonly #outgoing = new SerialQueue()
  /** The ping that was sent since the last heartbeat, if any. */
  #ping: Conversation | undefined
  /** Stops waiting for a heartbeat after a notice that no one listens. */
  #cancelDoubt: (() => void) | undefined

  /** @param peer  authenticates its machine, if that has a key */
  constructor(
    beat: Heartbeat,
    gateway: FleetGateway,
    readonly peer: Peer | undefined,
  ) {
    const { settings, link } = gateway
    this.name = beat.name
    this.identity = beat.identity
    this.signed = beat.signed
    this.trusted = beat.signed && settings.trusts(beat.identity)
    this.origin = settings.originOf(beat.identity)
    this.signature = beat.signature
    this.fingerprint = beat.fingerprint
    this.scales = beat.scales
    this.slots = beat.slots
    this.interruptible = beat.interruptible === true || undefined
    this.takesNext = beat.slots === 1
    this.address = link.addresses.worker(beat)
    this.beat = beat
    this.lastSeenAt = settings.clock.now()
    this.#gateway = gateway
    this.#state = beat.state === 'down' ? 'down' : 'up'
  }

  get free(): boolean {
    const most = this.slots + (this.takesNext ? this.#gateway.settings.maxPending : 0)
    return this.#state === 'up' && !this.#cancelDoubt && this.#calls.size < most
  }

  /** False while the worker is `away`, since it may be back in a moment. */
  get gone(): boolean {
    return this.#state === 'lost' || this.isClosed
  }

  get isClosed(): boolean {
    return this.#state === 'closed'
  }

  /** Number of calls that it has not replied to, aborted ones included. */
  get open(): number {
    return this.#calls.size
  }

  /** Whether a ping was sent since the last heartbeat. */
  get isPinged(): boolean {
    return this.#ping !== undefined
  }

  get isThere(): boolean {
    return this.#state === 'up' || this.#state === 'down'
  }

  infer(query: TensorList, options: { signal?: AbortSignal; traceparent?: string } = {}): Promise<TensorList> {
    const abort = abortOf(options)
    const refusal = this.#refusal(query, abort)
    if (refusal) return Promise.reject(refusal)
    const { clock, expireMs } = this.#gateway.settings
    const { traceparent } = options
    const now = clock.now()
    const sent: SentCall = {
      call: new OpenCall(query, abort, () => this.#aborted(sent)),
      conversation: this.#converse(
        (reply) => this.#received(sent, reply),
        () => this.#neverReceived(sent),
      ),
      parts: assemblyOf(this.signature.outputs),
      expiresAt: now + expireMs,
      traceparent: isTraceparent(traceparent) ? traceparent : undefined,
      lastSequence: 0,
      sent: 'once',
      sentAt: now,
      idleBeats: 0,
    }
    this.#calls.add(sent)
    this.#send(sent)
    return sent.call.answer
  }

  #refusal(query: TensorList, abort: Abort | undefined): Error | undefined {
    if (this.isClosed) return new ApproxiferError('CLOSED', `${this.name} is closed`)
    if (!this.isThere) return new ApproxiferError('WORKER', `${this.name} cannot be reached`)
    if (this.#state === 'down') return new ApproxiferError('WORKER', `${this.name} is not running`)
    const wrong = wrongQueries(this, [query])
    if (wrong) return wrong
    if (abort?.aborted) return aborted(abort)
    if (!this.free) return new ApproxiferError('OVERLOADED', `${this.open} calls are open already`)
  }

  #converse(heard: (reply: Uint8Array) => void, unheard = () => {}): Conversation {
    return this.#gateway.conversations.open(this.address, (reply) => {
      if (reply) return heard(reply)
      unheard()
      this.#doubt()
    })
  }

  /** A notice came that no one listens at the worker's address. It is believed unless the worker sends a heartbeat soon. */
  #doubt(): void {
    if (!this.peer) return this.#gateway.notListening(this) // no one else can send the notice, or nothing is authenticated anyway
    if (!this.isThere || this.#cancelDoubt) return
    this.#cancelDoubt = this.#gateway.settings.clock.after(UNHEARD_MS, () => this.#gateway.notListening(this), true)
    this.ping()
  }

  /** Marks this call, and all that were sent after it, as never received by the worker. */
  #neverReceived(first: SentCall): void {
    let isSince = false
    for (const sent of this.#calls) {
      isSince ||= sent === first
      if (isSince && sent.sent === 'once') sent.sent = 'never'
    }
  }

  #received(sent: SentCall, bytes: Uint8Array): void {
    const { channel } = this.peer ?? {}
    const { to } = sent.conversation
    this.incoming.run(() =>
      andThen(channel ? channel.verify(this.address, to, bytes) : true, (isIts) => {
        const frame = isIts ? decode(bytes) : undefined
        if (!frame || (channel && frame.sequence <= sent.lastSequence))
          return this.#gateway.settings.forgeries.drop(this.name)
        sent.lastSequence = frame.sequence
        this.#believe(sent, frame)
      }),
    )
  }

  #believe(sent: SentCall, frame: Frame): void {
    try {
      if (frame.flags & DOWN && this.isThere) this.#state = 'down'
      if (frame.kind === 'error') {
        const { code, message } = decodeError(frame)
        return this.#done(sent, new ApproxiferError(code, `${this.name}: ${message}`))
      }
      const answer = sent.parts.add(frame)
      if (frame.budgetOrMark !== UNLIMITED && frame.budgetOrMark !== markOf(this.fingerprint)) {
        this.ping() // its next heartbeat tells which model it has
        throw new ApproxiferError('WORKER', `${this.name} has another model now`)
      }
      if (answer) this.#done(sent, unpack(answer, this.signature.outputs))
    } catch (error) {
      this.#done(sent, asError(error, 'PROTOCOL'))
    }
  }

  receive(beat: Heartbeat): void {
    const isNewWay = this.#state === 'away' || this.beat.connection !== beat.connection
    this.beat = beat
    this.lastSeenAt = this.#gateway.settings.clock.now()
    this.#forgetPing()
    if (this.isClosed) return
    this.#state = beat.state === 'down' ? 'down' : 'up'
    for (const sent of [...this.#calls]) {
      if (isNewWay) this.#resend(sent)
      else if (beat.open) sent.idleBeats = 0
      else if (++sent.idleBeats > IDLE_BEATS && this.lastSeenAt - sent.sentAt > IDLE_BEATS * beat.everyMs) {
        this.#done(sent, new ApproxiferError('WORKER', `${this.name} lost its call`))
      }
    }
    if (this.free) this.onFree?.()
  }

  /** Sends a ping, unless one was sent since the last heartbeat. If the worker is gone the link may report that at once. */
  ping(): void {
    if (this.isPinged) return
    this.#ping = this.#converse(() => {}) // the reply is ignored: the ping also causes a heartbeat
    this.#say(this.#ping, encode('ping'))
  }

  #forgetPing(): void {
    this.#cancelDoubt?.()
    this.#cancelDoubt = undefined
    this.#ping?.close()
    this.#ping = undefined
  }

  /** The connection to the fleet is interrupted: calls wait until it is back. */
  interrupt(): void {
    if (this.isThere) this.#state = 'away'
  }

  /** The worker cannot be reached: its calls are rejected, to be sent to others. A heartbeat brings it back. */
  lose(why: string): void {
    if (this.gone) return
    this.#state = 'lost'
    this.#forgetPing()
    this.#endCalls(new ApproxiferError('WORKER', `${this.name} ${why}`))
    this.onFree?.()
  }

  async close(): Promise<void> {
    if (this.isClosed) return
    this.#state = 'closed'
    this.#forgetPing()
    this.onFree = undefined
    for (const sent of this.#calls) if (!sent.call.settled) this.#say(sent.conversation, encode('cancel'))
    this.#endCalls(new ApproxiferError('CLOSED', `${this.name} was closed`))
    this.#gateway.closed(this)
  }

  #send(sent: SentCall): void {
    const { link, settings } = this.#gateway
    const budgetMs = Math.max(0, sent.expiresAt - settings.clock.now())
    const failed = (error: unknown) => this.#done(sent, asError(error, 'WORKER', `${this.name}: `))
    try {
      const values = pack(sent.call.query, this.signature.inputs)
      // Each frame is a copy: the caller may reuse the query's buffers before all frames are sent.
      for (const frame of encodeValues('row', values, link.most, budgetMs, sent.traceparent)) {
        this.#say(sent.conversation, frame, failed)
      }
    } catch (error) {
      failed(error)
    }
  }

  /** @param failed  called if the link is closed */
  #say(conversation: Conversation, frame: Uint8Array, failed: (error: unknown) => void = () => {}): void {
    const authentic = () => this.peer?.channel.authenticate(this.address, conversation.to, frame) ?? frame
    this.#outgoing.run(() =>
      andThen(authentic(), (bytes) => {
        try {
          conversation.send(bytes)
        } catch (error) {
          failed(error)
        }
      }),
    )
  }

  /** Sends a call again after a reconnection. If the worker still has the query it runs it once. */
  #resend(sent: SentCall): void {
    if (sent.call.settled) return this.#done(sent, DROPPED)
    const sentAt = this.#gateway.settings.clock.now()
    Object.assign(sent, { idleBeats: 0, sentAt, sent: 'again' } satisfies Partial<SentCall>)
    this.#send(sent)
  }

  /** The worker drops the query if it has not started it. */
  #aborted(sent: SentCall): void {
    this.#say(sent.conversation, encode('cancel'))
    if (!this.isThere) this.#done(sent, DROPPED)
  }

  /** Ends a call that the worker has replied to, or will not reply to any more. */
  #done(sent: SentCall, outcome: TensorList | ApproxiferError): void {
    if (!this.#calls.delete(sent)) return
    sent.conversation.close()
    sent.call.settle(outcome)
    this.onFree?.()
  }

  #endCalls(error: ApproxiferError): void {
    const unasked = new ApproxiferError(
      'OVERLOADED',
      `${this.name} did not get the query: nobody listens at its address`,
    )
    for (const sent of [...this.#calls]) this.#done(sent, sent.sent === 'never' ? unasked : error)
  }
}
