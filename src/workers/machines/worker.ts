/** One worker of a fleet as its coordinator sees it. */

import { type Abort, aborted, abortOf } from '../../base/abort'
import { ApproxiferError, asError } from '../../base/errors'
import type { Signature, TensorList } from '../../base/tensor'
import type { Conversation } from '../nats/subjects'
import { OpenCall } from '../open-call'
import { type ModelWorker, wrongQueries } from '../worker'
import type { Peer, SentCall, Wire } from './coordinator'
import { DOWN, decodeError, encode, encodeValues, FOR_EVER, type Frame, frameIn, markOf } from './frames'
import type { Heartbeat } from './heartbeat'
import { InTurn, soon } from './maybe-promise'
import { assemblyOf, pack, unpack } from './packing'

/** More than these mean that the call was lost on its way. */
const IDLE_BEATS = 2
/** For the heartbeat of a worker that the server says nobody listens to: others can say that as well. */
const UNHEARD_MS = 250
const DROPPED = new ApproxiferError('ABORTED', 'nobody waits for it any more')

export class NatsWorker implements ModelWorker {
  onFree: (() => void) | undefined
  /** What it said last, and when. */
  beat: Heartbeat
  heardAt: number
  /** What it said when it joined: its name, identity, model and slots stay. */
  readonly #joined: Heartbeat
  readonly #wire: Wire
  readonly #calls = new Set<SentCall>()
  /** `down`: what runs its model is; `away`: the way to it is interrupted, and its calls will be sent again; `lost`: it is silent, and its calls were rejected. */
  #state: 'up' | 'down' | 'away' | 'lost' | 'closed'
  /** What came from it is looked at in the order in which it came: its answer goes before its leaving. */
  readonly inTurn = new InTurn()
  /** What goes to it is sealed, which may take its time, and sent in the order in which it was said. */
  readonly #sending = new InTurn()
  /** The question whether it is there, where it was asked since it was heard. */
  #question: Conversation | undefined
  /** Ends the wait for a heartbeat, where it was said that nobody listens to it. */
  #cancelDoubt: (() => void) | undefined

  /** @param peer  its machine; undefined: that has no key */
  constructor(
    beat: Heartbeat,
    wire: Wire,
    readonly peer: Peer | undefined,
  ) {
    this.beat = beat
    this.heardAt = wire.settings.clock.now()
    this.#joined = beat
    this.#wire = wire
    this.#state = beat.state === 'down' ? 'down' : 'up'
  }

  get #subject(): string {
    return this.#wire.settings.subjects.worker(this.#joined)
  }

  get name(): string {
    return this.#joined.name
  }

  get signature(): Signature {
    return this.#joined.signature
  }

  get fingerprint(): string | undefined {
    return this.#joined.fingerprint
  }

  get identity(): string {
    return this.#joined.identity
  }

  get scales(): readonly number[] | undefined {
    return this.#joined.scales
  }

  get signed(): boolean {
    return this.peer !== undefined
  }

  get trusted(): boolean {
    return this.signed && this.#wire.settings.trusts(this.identity)
  }

  get origin(): string | undefined {
    return this.#wire.settings.originOf(this.identity)
  }

  get slots(): number {
    return this.#joined.slots
  }

  /** It is told of aborts in any case: what waits there is dropped. */
  get interruptible(): true | undefined {
    return this.#joined.interruptible === true || undefined
  }

  get free(): boolean {
    const most = this.slots + (this.takesNext ? this.#wire.settings.maxPending : 0)
    return this.#state === 'up' && !this.#cancelDoubt && this.#calls.size < most
  }

  /** One that is only `away` may be back in a moment. */
  get gone(): boolean {
    return this.#state === 'lost' || this.isClosed
  }

  get isClosed(): boolean {
    return this.#state === 'closed'
  }

  /** Where it answers one at a time the next is sent ahead; else several are on their way anyway. */
  get takesNext(): boolean {
    return this.slots === 1
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

  infer(query: TensorList, options: { signal?: AbortSignal } = {}): Promise<TensorList> {
    const abort = abortOf(options)
    const refusal = this.#refusal(query, abort)
    if (refusal) return Promise.reject(refusal)
    const { clock, expireMs } = this.#wire.settings
    const sent: SentCall = {
      call: new OpenCall(query, abort, () => this.#aborted(sent)),
      conversation: this.#converse(
        (reply) => this.#received(sent, reply),
        () => this.#unasked(sent),
      ),
      parts: assemblyOf(this.signature.outputs),
      expiresAt: clock.now() + expireMs,
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
    return this.#wire.inbox.open(this.#subject, (reply) => {
      if (reply) return heard(reply)
      unheard()
      this.#doubt()
    })
  }

  /** Somebody says that nobody listens to it: the server, unless the worker itself says something. */
  #doubt(): void {
    if (!this.peer) return this.#wire.unheard(this) // others can say anything in its name
    if (!this.isThere || this.#cancelDoubt) return
    this.#cancelDoubt = this.#wire.settings.clock.after(UNHEARD_MS, () => this.#wire.unheard(this), true)
    if (!this.isAsked) this.ask()
  }

  #endDoubt(): void {
    this.#cancelDoubt?.()
    this.#cancelDoubt = undefined
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
    this.inTurn.take(() =>
      soon(channel ? channel.isSealed(this.#subject, to, bytes) : true, (isIts) => {
        const frame = isIts ? frameIn(bytes) : undefined
        if (!frame || (channel && frame.sequence <= sent.heard)) return this.#wire.settings.forgeries.drop(this.name)
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
      if (frame.model !== FOR_EVER && frame.model !== markOf(this.fingerprint)) {
        if (!this.isAsked) this.ask() // its next heartbeat says which
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
    this.heardAt = this.#wire.settings.clock.now()
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

  /** Asks for a sign of life: where nobody listens any more, the server says so at once. */
  ask(): void {
    this.#question = this.#converse(() => {}) // its next heartbeat is the answer
    this.#say(this.#question, encode('ping'))
  }

  #forgetQuestion(): void {
    this.#endDoubt()
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
    for (const sent of this.#calls) if (!sent.call.settled) this.#cancel(sent)
    this.#endCalls(new ApproxiferError('CLOSED', `${this.name} was closed`))
    this.#wire.closed(this)
  }

  #send(sent: SentCall): void {
    const { inbox, settings } = this.#wire
    const budgetMs = Math.max(0, sent.expiresAt - settings.clock.now())
    const failed = (error: unknown) => this.#done(sent, asError(error, 'WORKER', `${this.name}: `))
    try {
      const values = pack(sent.call.query, this.signature.inputs)
      // Each is a copy: the caller's row may be another's before all are sealed.
      for (const frame of encodeValues('row', values, inbox.link.most, budgetMs)) {
        this.#say(sent.conversation, frame, failed)
      }
    } catch (error) {
      failed(error)
    }
  }

  /** @param failed  told where the connection is closed */
  #say(conversation: Conversation, frame: Uint8Array, failed: (error: unknown) => void = () => {}): void {
    const sealed = () => this.peer?.channel.seal(this.#subject, conversation.to, frame) ?? frame
    this.#sending.take(() =>
      soon(sealed(), (bytes) => {
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

  #aborted(sent: SentCall): void {
    this.#cancel(sent)
    if (!this.isThere) this.#done(sent, DROPPED)
  }

  /** What still waits at the worker is dropped there. */
  #cancel(sent: SentCall): void {
    this.#say(sent.conversation, encode('cancel'))
  }

  /** The worker has nothing more to do for it. */
  #done(sent: SentCall, outcome: TensorList | ApproxiferError): void {
    if (!this.#calls.delete(sent)) return
    sent.conversation.close()
    sent.call.settle(outcome)
    this.onFree?.()
  }

  #endCalls(error: ApproxiferError): void {
    const unasked = new ApproxiferError('OVERLOADED', `${this.name} was not asked: nobody listens to its subject`)
    for (const sent of [...this.#calls]) this.#done(sent, sent.sent === 'never' ? unasked : error)
  }
}
