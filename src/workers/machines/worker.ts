/** One worker of a fleet as its gateway sees it. */

import { type Abort, aborted, abortOf } from '../../base/abort'
import { ApproxiferError, asError } from '../../base/errors'
import type { Signature, TensorList } from '../../base/tensor'
import { isTraceparent } from '../../base/traceparent'
import { OpenCall } from '../open-call'
import { type ModelWorker, wrongQueries } from '../worker'
import type { Conversation, Conversations } from './conversations'
import { type Assembly, DOWN, decode, decodeError, encode, encodeValues, FOR_EVER, type Frame, markOf } from './frames'
import type { Heartbeat } from './heartbeat'
import type { Link } from './link'
import type { Channel, Macs } from './macs'
import { andThen, SerialQueue } from './maybe-promise'
import type { FleetSettings } from './options'
import { assemblyOf, pack, unpack } from './packing'
import type { Verify } from './signed-heartbeat'

/** What the workers of a fleet share. */
export interface FleetGateway {
  readonly settings: FleetSettings
  readonly link: Link
  readonly macs: Macs
  readonly conversations: Conversations
  /** Nobody listens at the worker's address. */
  unheard(worker: MachineWorker): void
  closed(worker: MachineWorker): void
}

/** How a machine with a key is told from others that speak in its name: by its signature in heartbeats, else by its MAC. */
export interface Peer {
  verify: Verify
  channel: Channel
}

/** A call of one row. One that an abort has settled keeps its place until the worker is done with it. */
interface SentCall {
  readonly call: OpenCall
  readonly conversation: Conversation
  readonly parts: Assembly
  readonly expiresAt: number
  /** Of who asks, where the worker reads it. */
  readonly traceparent: string | undefined
  /** The highest number of a frame that came for it: one that is sent again by others does not count twice. */
  heard: number
  /** `never`: nobody listened when it was sent. */
  sent: 'once' | 'again' | 'never'
  /** Heartbeats since it was sent that told of no call at the worker. */
  idleBeats: number
}

/** More than these mean that the call was lost on its way. */
const IDLE_BEATS = 2
/** For the heartbeat of a worker at whose address nobody is said to listen: others can say that as well. */
const UNHEARD_MS = 250
const DROPPED = new ApproxiferError('ABORTED', 'nobody waits for it any more')

export class MachineWorker implements ModelWorker {
  // What it said when it joined stays.
  readonly name: string
  readonly identity: string
  readonly signed: boolean
  readonly trusted: boolean
  readonly origin: string | undefined
  readonly signature: Signature
  readonly fingerprint: string | undefined
  readonly scales: readonly number[] | undefined
  readonly slots: number
  /** It is told of aborts in any case: what waits there is dropped. */
  readonly interruptible: true | undefined
  /** Where it answers one at a time the next is sent ahead; else several are on their way anyway. */
  readonly takesNext: boolean
  onFree: (() => void) | undefined
  /** Of the worker itself, which tells it from others. */
  readonly address: string
  /** What it said last, and when. */
  beat: Heartbeat
  heardAt: number
  readonly #gateway: FleetGateway
  readonly #calls = new Set<SentCall>()
  /** `down`: what runs its model is; `away`: the way to it is interrupted, and its calls will be sent again; `lost`: it is silent, and its calls were rejected. */
  #state: 'up' | 'down' | 'away' | 'lost' | 'closed'
  /** What came from it is looked at in the order in which it came: its answer goes before its leaving. */
  readonly incoming = new SerialQueue()
  /** What goes to it gets a MAC, which may take its time, and is sent in the order in which it was said. */
  readonly #outgoing = new SerialQueue()
  /** The question whether it is there, where it was asked since it was heard. */
  #question: Conversation | undefined
  /** Ends the wait for a heartbeat, where it was said that nobody listens to it. */
  #cancelDoubt: (() => void) | undefined

  /** @param peer  its machine; undefined: that has no key, or the link proves who speaks */
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
    this.heardAt = settings.clock.now()
    this.#gateway = gateway
    this.#state = beat.state === 'down' ? 'down' : 'up'
  }

  get free(): boolean {
    const most = this.slots + (this.takesNext ? this.#gateway.settings.maxPending : 0)
    return this.#state === 'up' && !this.#cancelDoubt && this.#calls.size < most
  }

  /** One that is only `away` may be back in a moment. */
  get gone(): boolean {
    return this.#state === 'lost' || this.isClosed
  }

  get isClosed(): boolean {
    return this.#state === 'closed'
  }

  /** Calls that it has, wanted or not. */
  get open(): number {
    return this.#calls.size
  }

  /** Whether it was asked for a sign of life and has not given one. */
  get isAsked(): boolean {
    return this.#question !== undefined
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
    const sent: SentCall = {
      call: new OpenCall(query, abort, () => this.#aborted(sent)),
      conversation: this.#converse(
        (reply) => this.#received(sent, reply),
        () => this.#unasked(sent),
      ),
      parts: assemblyOf(this.signature.outputs),
      expiresAt: clock.now() + expireMs,
      traceparent: this.beat.traced === true && isTraceparent(traceparent) ? traceparent : undefined,
      heard: 0,
      sent: 'once',
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

  /** It is said that nobody listens to it, which is so unless the worker itself says something. */
  #doubt(): void {
    if (!this.peer) return this.#gateway.unheard(this) // nobody else can say that, or others can say anything in its name
    if (!this.isThere || this.#cancelDoubt) return
    this.#cancelDoubt = this.#gateway.settings.clock.after(UNHEARD_MS, () => this.#gateway.unheard(this), true)
    this.ask()
  }

  /** Nobody listened when this call was sent, and so when those were that were sent after it. */
  #unasked(first: SentCall): void {
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
        if (!frame || (channel && frame.sequence <= sent.heard)) return this.#gateway.settings.forgeries.drop(this.name)
        sent.heard = frame.sequence
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
      if (frame.about !== FOR_EVER && frame.about !== markOf(this.fingerprint)) {
        this.ask() // its next heartbeat says which
        throw new ApproxiferError('WORKER', `${this.name} has another model now`)
      }
      if (answer) this.#done(sent, unpack(answer, this.signature.outputs))
    } catch (error) {
      this.#done(sent, asError(error, 'PROTOCOL'))
    }
  }

  hear(beat: Heartbeat): void {
    const isNewWay = this.#state === 'away' || this.beat.connection !== beat.connection
    this.beat = beat
    this.heardAt = this.#gateway.settings.clock.now()
    this.#forgetQuestion()
    if (this.isClosed) return
    this.#state = beat.state === 'down' ? 'down' : 'up'
    for (const sent of [...this.#calls]) {
      if (isNewWay) this.#resend(sent)
      else if (beat.open) sent.idleBeats = 0
      else if (++sent.idleBeats > IDLE_BEATS) {
        this.#done(sent, new ApproxiferError('WORKER', `${this.name} lost its call`))
      }
    }
    if (this.free) this.onFree?.()
  }

  /** Asks for a sign of life, unless it was asked since it was heard: where nobody listens any more, the link may say so at once. */
  ask(): void {
    if (this.isAsked) return
    this.#question = this.#converse(() => {}) // its next heartbeat is the answer
    this.#say(this.#question, encode('ping'))
  }

  #forgetQuestion(): void {
    this.#cancelDoubt?.()
    this.#cancelDoubt = undefined
    this.#question?.close()
    this.#question = undefined
  }

  /** The way to the fleet is interrupted: whether it is there has yet to be heard. Its calls wait. */
  interrupt(): void {
    if (this.isThere) this.#state = 'away'
  }

  /** It is not to be reached: its calls are for others. It may be heard again. */
  lose(why: string): void {
    if (this.gone) return
    this.#state = 'lost'
    this.#forgetQuestion()
    this.#endCalls(new ApproxiferError('WORKER', `${this.name} ${why}`))
    this.onFree?.()
  }

  async close(): Promise<void> {
    if (this.isClosed) return
    this.#state = 'closed'
    this.#forgetQuestion()
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
      // Each is a copy: the caller's row may be another's before all are sent.
      for (const frame of encodeValues('row', values, link.most, budgetMs, sent.traceparent)) {
        this.#say(sent.conversation, frame, failed)
      }
    } catch (error) {
      failed(error)
    }
  }

  /** @param failed  told where the link is closed */
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

  /** As if it had been sent now for the first time. The worker may have it still: then it is done once. */
  #resend(sent: SentCall): void {
    if (sent.call.settled) return this.#done(sent, DROPPED)
    Object.assign(sent, { idleBeats: 0, sent: 'again' } satisfies Partial<SentCall>)
    this.#send(sent)
  }

  /** What still waits at the worker is dropped there. */
  #aborted(sent: SentCall): void {
    this.#say(sent.conversation, encode('cancel'))
    if (!this.isThere) this.#done(sent, DROPPED)
  }

  /** The worker has nothing more to do for it. */
  #done(sent: SentCall, outcome: TensorList | ApproxiferError): void {
    if (!this.#calls.delete(sent)) return
    sent.conversation.close()
    sent.call.settle(outcome)
    this.onFree?.()
  }

  #endCalls(error: ApproxiferError): void {
    const unasked = new ApproxiferError('OVERLOADED', `${this.name} was not asked: nobody listens at its address`)
    for (const sent of [...this.#calls]) this.#done(sent, sent.sent === 'never' ? unasked : error)
  }
}
