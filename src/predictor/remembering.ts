/**
 * Answers before asking: the memory's where it is confident, as often as a ledger allows. Some that it is confident of are asked all the same:
 * such an audit goes on when its caller leaves or its deadline has passed, and counts as wrong where no answer ever comes.
 */

import type { Clock } from '../clock'
import type { ApproxiferError } from '../errors'
import type { Draw, Ledger } from '../ledger/ledger'
import type { Recollection } from '../memory/memory'
import { Payload } from '../payload'
import { type Ended, tooLate } from '../query/caller'
import type { Learning } from '../query/learning'
import type { Prediction } from '../query/prediction'
import { unaskedReport } from '../query/report'
import { SharedCaller } from '../query/shared-caller'
import { type Signature, toNamed } from '../tensor'
import type { Ask, Request } from './reuse'
import { Worth } from './worth'

/** How long an audit may take: as long as it takes that workers die and come back. */
const AUDIT_MS = 60_000

export interface RememberingOptions {
  clock: Clock
  means: { readonly signature: Signature; readonly ended: Ended }
  core: 'wasm' | 'js'
  /** The memory is there for late answers as well. */
  recovers: boolean
  /** What a tenant has learned, and how often that may be given. */
  learned(tenant: string): {
    readonly learning?: Learning | undefined
    readonly ledger?: Ledger | undefined
    readonly model: { readonly fingerprint: string | undefined }
  }
  /** Milliseconds that an answer of the workers takes, of all that are asked for it; undefined while nobody knows. */
  inferenceMs(): number | undefined
}

export class Remembering {
  readonly #options: RememberingOptions
  readonly #worth = new WeakMap<Ledger, Worth>()

  constructor(options: RememberingOptions) {
    this.#options = options
  }

  /** Answers a query from memory, or has it asked. */
  take(request: Request, ask: Ask): void {
    const { payload, caller, options, signal } = request
    const { learning, ledger } = this.#options.learned(caller.turn.tenant)
    if (!learning || !ledger) return ask(request)
    const worth = this.#worthOf(ledger, learning)
    const isAsked = options.ask === true || options.policy === 'retry'
    const looks = !isAsked && learning.experience.memory === 'warm' && worth.looks()
    learning.use = !worth.isOff ? 'saving' : this.#options.recovers ? 'warm' : 'idle'
    if (!looks) {
      ledger.count()
      return ask(request)
    }
    const { ended } = this.#options.means
    if (signal) caller.listen(signal, (error) => caller.fail(error, ended)) // while it is looked up
    const mostMs = this.#options.inferenceMs() ?? Number.POSITIVE_INFINITY
    learning.recall(
      payload.vector,
      mostMs,
      () => caller.isOpen,
      (said) => {
        if (!caller.isOpen) return
        if (said) this.#decide(request, said, { learning, ledger, isOff: worth.isOff, ask })
        else {
          ledger.count()
          ask(request)
        }
      },
    )
  }

  #worthOf(ledger: Ledger, learning: Learning): Worth {
    const known = this.#worth.get(ledger)
    if (known) return known
    const worth = new Worth(() => ({
      ...learning.costs,
      inferenceMs: this.#options.inferenceMs(),
      share: ledger.foretell(),
    }))
    this.#worth.set(ledger, worth)
    return worth
  }

  #decide(
    request: Request,
    said: Recollection,
    { learning, ledger, isOff, ask }: { learning: Learning; ledger: Ledger; isOff: boolean; ask: Ask },
  ): void {
    const { caller, options } = request
    const known = learning.experience.confidence.of({ ...said, missing: 1 }) ?? 0
    const confidence = known < (options.minConfidence ?? 0) ? 0 : known
    const draw = ledger.draw(confidence, !isOff)
    if (draw.is === 'remember') return this.#give(request, said.answer, known)
    const isRight = ({ output, status }: Prediction): boolean | undefined => {
      if (status !== 'exact') return undefined
      const own = new Payload(this.#options.means.signature.outputs.map(({ name }) => output[name]))
      return learning.experience.confidence.agrees(said.answer, own.vector) === true
    }
    if (draw.is === 'audit') return this.#audit(request, draw, isRight, ask)
    const { ended } = this.#options.means
    const answered = (prediction: Prediction) => {
      const right = isRight(prediction)
      if (right !== undefined) draw.told(right)
      if (caller.isOpen) caller.answer(prediction, ended)
    }
    const failed = (error: ApproxiferError) => caller.isOpen && caller.fail(error, ended)
    ask({ ...request, caller: new SharedCaller(caller, caller.since, answered, failed) })
  }

  #give({ caller }: Request, answer: Float32Array, confidence: number): void {
    const { means, clock, core, learned } = this.#options
    const { outputs } = means.signature
    const output = toNamed(Payload.of(answer, outputs).tensors, outputs)
    const ranMs = clock.now() - caller.since
    const given = {
      output,
      confidence,
      queuedMs: 0,
      ranMs,
      hedged: false,
      workers: [],
      fingerprint: learned(caller.turn.tenant).model.fingerprint,
      group: Promise.resolve(unaskedReport(core)),
    }
    caller.answer({ ...given, status: 'remembered' }, means.ended)
  }

  /** It is asked for nobody: neither its caller nor its deadline ends it. */
  #audit(
    { payload, caller, signal, options }: Request,
    draw: Draw,
    isRight: (prediction: Prediction) => boolean | undefined,
    ask: Ask,
  ): void {
    const { clock, means } = this.#options
    const now = clock.now()
    const end = (error: ApproxiferError) => caller.isOpen && caller.fail(error, means.ended)
    const forget = clock.after(caller.dueAt - now, () => end(tooLate(caller)))
    const asked = { choices: { ...caller.choices, policy: 'retry' as const }, turn: caller.turn, dueAt: now + AUDIT_MS }
    const own = new SharedCaller(
      asked,
      now,
      (prediction) => {
        forget()
        draw.told(isRight(prediction) === true)
        if (caller.isOpen) caller.answer(prediction, means.ended)
      },
      (error) => {
        forget()
        draw.told(false)
        end(error)
      },
    )
    if (signal) caller.listen(signal, end)
    ask({ payload, caller: own, signal: undefined, options })
  }
}
