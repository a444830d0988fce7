/**
 * Measures what reuse within an error budget (`reuse.maxError`) would save on a user's own model and stream, compared with other caches. In
 * process, without workers.
 */

import { checkInteger } from '../base/check'
import { seeded } from '../base/random'
import { median } from '../base/stats'
import type { Core } from '../core/core'
import { type Features, Memory } from '../memory/memory'
import { addTo, firstWindow, nothingSpent, type Recorded, Recorder, spend } from './error-budgets'
import { criterionFor, experienceOf, type Rightness } from './experiment'
import { type BatchModel, type OwnAnswers, type Rows, sizesOf } from './model'
import { percent } from './statistics'

export interface SavingOptions extends Rightness {
  core: Core
  model: BatchModel
  /** In the order of the stream. */
  inputs: Rows
  own: Pick<OwnAnswers, 'of'>
  /** Most queries of the stream to use. */
  stream: number
  features?: Features | undefined
  seed: number
}

/** Shares of all queries. */
export interface Spent {
  /** Inferences of the model. */
  inferences: number
  /** Answers that differ from the model's own. */
  wrong: number
}

export interface SavingLevel extends Spent {
  maxError: number
  /** Share of the answers given without asking that differ from the model's own; 0 if none was given. */
  wrongOfGiven: number
  /** Queries that were asked although the memory was confident. */
  audits: number
  /** A nearest-neighbour cache under the same error budget. */
  neighbour: Spent
}

export interface Saving {
  queries: number
  /** A cache of equal queries. */
  exact: Spent
  levels: SavingLevel[]
  /** Milliseconds of a lookup, of learning an answer, and of the model for one query. */
  ms: { lookup: number; trainingStep: number; inference: number }
  advice: string
}

const LEVELS = [0.002, 0.01, 0.02, 0.05]
const COINS = 10
/** Queries that are timed to find how long an inference takes. */
const TIMED = 20
/** Queries of the shortest stream that completes a window at some level. */
const ENOUGH = firstWindow(Math.max(...LEVELS))
/** Share of the inferences that must be saved beyond those of equal queries. */
const WORTH = 0.05

/**
 * Why nothing can be given without asking; undefined if it can. @param whyNotEqual  why the model's queries cannot be compared, from its
 * abilities
 */
export function whyNothingSaved(model: BatchModel, features?: Features, whyNotEqual?: string): string | undefined {
  const fits = features !== undefined || Memory.fits(sizesOf(model))
  return whyNotEqual ?? (fits ? undefined : 'its queries or answers are too large to be remembered')
}

/** One pass over a stream, as far as it has got. */
export class SavingTrial {
  readonly total: number
  readonly #options: Pick<SavingOptions, 'model' | 'inputs' | 'own' | 'seed'>
  readonly #recorder: Recorder

  /** @throws RangeError for a stream without queries */
  constructor(options: SavingOptions) {
    const { core, model, inputs, stream, features } = options
    this.#options = options
    this.total = Math.min(inputs.length, checkInteger('stream', stream, 1))
    const [criterion, memory] = [criterionFor(model, options), features && { features }]
    const experience = experienceOf(core, model, { criterion, memory })
    this.#recorder = new Recorder(experience)
  }

  get done(): number {
    return this.#recorder.memory.length
  }

  async go(ms = Number.POSITIVE_INFINITY, onProgress = () => {}): Promise<void> {
    const { inputs, own } = this.#options
    for (const start = performance.now(); this.done < this.total && performance.now() - start < ms; onProgress()) {
      const [answer] = await own.of([this.done])
      this.#recorder.next(inputs.at(this.done) as Float32Array, answer)
    }
  }

  /** The saving at an error level, as far as it is known. */
  level(maxError: number, coins = COINS): SavingLevel {
    const { memory, neighbour } = this.#recorder
    const of = (stream: readonly Recorded[]) => {
      const all = nothingSpent()
      for (let coin = 0; coin < coins; coin++) addTo(all, spend(stream, maxError, seeded(this.#options.seed + coin)))
      const { queries, asked, wrong, audits } = all
      const shares = { inferences: asked / queries, wrong: wrong / queries, audits: audits / queries }
      return { ...shares, wrongOfGiven: wrong / Math.max(1, queries - asked) }
    }
    const { inferences, wrong } = of(neighbour)
    return { maxError, ...of(memory), neighbour: { inferences, wrong } }
  }

  async summary(): Promise<Saving> {
    const { memory, ms } = this.#recorder
    const inferences = memory.filter(({ first }, i) => first === i).length / this.total
    const each = {
      lookup: ms.look / this.total,
      trainingStep: ms.lesson / this.total,
      inference: await this.#inferenceMs(),
    }
    const levels = LEVELS.map((maxError) => this.level(maxError))
    const saving = { queries: this.total, exact: { inferences, wrong: 0 }, levels, ms: each }
    return { ...saving, advice: adviceOf(saving) }
  }

  /** Time of a single query, as a worker has it under low load. */
  async #inferenceMs(): Promise<number> {
    const { model, inputs } = this.#options
    const times: number[] = []
    for (let i = 0; i < TIMED; i++) {
      const row = inputs.at(i % this.total) as Float32Array
      const start = performance.now()
      await model.infer(row, 1)
      times.push(performance.now() - start)
    }
    return median(times) as number
  }
}

/** Milliseconds of an inference above which lookups and training steps pay. */
export function breakEven({ lookup, trainingStep }: Saving['ms'], inferences: number): number {
  return (lookup + inferences * trainingStep) / (1 - inferences)
}

function adviceOf({ queries, exact, levels, ms }: Omit<Saving, 'advice'>): string {
  if (queries < ENOUGH) return `the stream is too short to tell: expected ${ENOUGH} queries or more, got ${queries}`
  const gain = ({ inferences }: Spent) => exact.inferences - inferences
  const isUsual = ({ maxError }: SavingLevel) => maxError >= 0.01
  const best = levels.filter(isUsual).find((level) => gain(level) >= WORTH)
  const equal = 1 - exact.inferences
  if (!best) {
    const most = percent(Math.max(...levels.map((level) => 1 - level.inferences)))
    const instead = equal >= WORTH ? `; reuse: { exact: true } alone saves ${percent(equal)}` : ''
    return `it does not pay: even with --max-error ${levels.at(-1)?.maxError} it would save ${most} of the inferences${instead}`
  }
  const from = breakEven(ms, best.inferences)
  const said = `--max-error ${best.maxError} would save ${percent(1 - best.inferences)} of the inferences`
  const where = `an inference costs more than ${from.toPrecision(2)} ms of this machine`
  const here = `here it takes ${ms.inference.toPrecision(2)}`
  return ms.inference > from
    ? `${said}, and time wherever ${where}: ${here}`
    : `${said}, which pays where ${where} (larger models, GPUs, paid services): ${here}`
}
