/** How much accuracy coding costs on a user's own model and data. In process, no workers, no time. */

import { checkInteger, checkNames } from '../check'
import type { Codec } from '../codec/codec'
import { type Criterion, type CriterionOptions, criterionOf } from '../criterion'
import { Experience } from '../memory/experience'
import { DEFAULT_BYTES, type Features, Memory, type Recollection } from '../memory/memory'
import { checkSettings } from '../predictor/options'
import type { Policy } from '../query/decision'
import { type Random, seeded } from '../random'
import { rowLength, rowShape } from '../tensor'
import { parseAttack } from '../testing/attacks'
import { groupsOf, lossesOf, survivorSets, withLies } from './draws'
import { Answers, type BatchModel, Kept, type Rows } from './model'
import { hasSumParity, rivalsOf } from './rivals'
import { type Evaluation, type Figures, Scores } from './scores'
import { type Subject, Trial } from './trial'

export interface EvaluateOptions extends CriterionOptions {
  model: BatchModel
  codec: Codec
  /** One row per query, as long as the model's inputs together; each is read when it is needed. */
  inputs: Rows
  /** The model's answers to them, to be shared by several evaluations. Default: asked for as they are needed. */
  own?: Answers | undefined
  /**
   * The right label of each query: the index of the largest value in the first output. Default: none; an answer then is
   * right if it has the model's own label or, where there are none, is within the tolerance of the model's own.
   */
  labels?: ArrayLike<number> | undefined
  /** Default 500. */
  groups?: number | undefined
  /** Default 1. */
  seed?: number | undefined
  /** How `byzantine` workers lie; see `attackForms`. Default 'gauss:10'. */
  attack?: string | undefined
  /**
   * How many inputs, in random order, are remembered with the model's answers; groups come from the rest. Default:
   * where `createPredictor` has a memory half of them, at most 1,000; else 0. A number that is given gets the room it takes.
   */
  memory?: number | undefined
  /** 'random', or 'likeness:P': pools of P groups, ordered by likeness and cut. Default 'random'. */
  grouping?: string | undefined
  /** How the memory compares queries. Default: patches for images, else raw. */
  features?: Features | undefined
  /** What becomes of lost queries. Default: as of `createPredictor`. */
  policy?: Policy | undefined
  /** Confidence from which `auto` gives a recovered answer. Default 0.9. */
  minConfidence?: number | undefined
  /** Groups whose lost answers come late and teach the confidence. Default 300, at most half. */
  learn?: number | undefined
  /** Survivor sets to try in every group: all if there are so few, else so many at random. Default 200. */
  sets?: number | undefined
  /** Told after each input that is answered for its own sake, and after each group. */
  onProgress?: ((progress: Progress) => void) | undefined
}

/** How far an evaluation is. */
export interface Progress {
  /** First the model's answers to `inputs` are remembered, then `groups` are measured. */
  stage: 'inputs' | 'groups'
  done: number
  total: number
  /** Inputs that were looked at for the first time since it was told before. */
  looked: number
  /** What is still to be done, by what takes the time. */
  left: {
    /** Through the model, as is to be expected. */
    rows: number
    /** Inputs to look at for the first time: those that are remembered, and those that groups will draw, as is to be expected. */
    inputs: number
    groups: number
  }
  /** What is known so far; computed when it is asked for. */
  figures(): Figures
}

const optionNames = [
  ...['model', 'codec', 'inputs', 'own', 'labels', 'labelAxis', 'tolerance', 'groups', 'seed', 'attack', 'memory'],
  ...['grouping', 'features', 'policy', 'minConfidence', 'learn', 'sets', 'onProgress'],
]

/** Of so many inputs, one is asked of the memory before it is told: enough for a first figure, little work. */
const FORETELL = 8
/** After so many inputs a group of the last ones is decoded while the memory can say nothing yet: a first figure. */
const EARLY = 32
/** Answers that tell how much all of them differ where there is no label: the tolerance to some percent. */
const TELLING = 128

/**
 * Groups of K random inputs, each coded, answered, robbed of S random results, and decoded. The same seed draws the
 * same groups and losses for every codec with the same K and N, so that their figures can be compared in pairs.
 *
 * @throws RangeError for inputs or labels that do not fit, and for options out of range
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const { codec, inputs, labels } = options
  const { groups, learn, seed, sets: most, criterion, rules, memory } = settingsOf(options)
  const { queries: K, workers: N, stragglers: S, byzantine: E } = codec.scheme
  const [drawing, losing, lying] = [seeded(seed), seeded(seed + 0x51ed270b), seeded(seed + 0x2c1b3c6d)]
  const attack = parseAttack(options.attack ?? 'gauss:10')
  const shuffled = drawing.choose(inputs.length, inputs.length)
  const [known, others] = [shuffled.slice(0, memory), shuffled.slice(memory)]
  const nextGroup = groupsOf(K, options.grouping ?? 'random', codec.core, inputs, others, drawing)
  const sets = survivorSets(N, S, most, losing)
  const subject = subjectOf(options, criterion, memory)
  const { own, experience } = subject
  const scores = new Scores(subject, rules)
  const course = new Course(options, scores, own, groups, others.length)
  await learnFrom(known, others, subject, scores, course, seeded(seed + 0x3243f6a8))
  const rivals = Object.entries(rivalsOf(subject))

  for (let done = 0; done < groups; done++) {
    const chosen = nextGroup()
    const trial = new Trial(subject, chosen, await own.of(chosen))
    const honest = await trial.answers()
    const { gone, have, liars } = lossesOf(codec.scheme, losing)
    const answers = withLies(honest, liars, attack, lying)
    const accuracy = (survivors: readonly number[]) => {
      trial.decode(survivors, answers)
      return scores.accuracy(trial.outcomes())
    }

    const suspects = trial.decode(have, answers)
    const outcomes = trial.outcomes()
    for (const { input, own } of outcomes) scores.alone(input, own)
    scores.group(outcomes, gone, done >= learn)
    trial.learn()
    if (done < learn) trial.grade(outcomes, honest)
    for (const [name, rival] of rivals) {
      const lost = losing.below(K)
      scores.rival(name, await rival(trial, lost), outcomes[lost], done >= learn)
    }
    scores.tried(accuracy([...honest.keys()]), sets.map(accuracy))
    if (E) scores.located(suspects, liars, trial.decode(have, honest).length > 0)
    if (labels) await measureAlone(others, (done + 1) / groups, subject, scores, course)
    course.group(done + 1, trial.mixed, chosen)
  }
  return {
    tolerance: experience.confidence.tolerance,
    memory: experience.remembered,
    memoryOptions: memoryOptionsOf(options, memory),
    policy: rules.policy,
    ...scores.summary(),
  }
}

/**
 * Shows the memory what a predictor would have learned from: the model's own answers to the inputs `known`. How much they differ
 * says which answers are right where there is no label: then it looks at some of the `others`, too, if they are few.
 */
async function learnFrom(
  known: readonly number[],
  others: readonly number[],
  subject: Subject,
  scores: Scores,
  course: Course,
  random: Random,
): Promise<void> {
  const { inputs, own, criterion, experience } = subject
  const labels = criterion.kind === 'label'
  const first = labels ? [] : others.slice(0, Math.max(0, TELLING - known.length))
  const all = [...first, ...known]
  for (const [n, input] of all.entries()) {
    const [answer] = await own.of([input])
    const row = inputs.at(input) as Float32Array
    experience.confidence.observe(answer)
    if (labels) scores.alone(input, answer)
    const foretold = n % FORETELL ? undefined : experience.recall(row)
    if (foretold) scores.foretold(foretold.answer, { input, own: answer })
    if (n >= first.length) Array.from(experience.train(row, answer)) // at once: nobody waits
    if ((n + 1) % EARLY === 0 && experience.memory !== 'warm')
      await decodeEarly(all.slice(0, n + 1), subject, scores, random)
    course.input(n + 1, all.length)
  }
  experience.settle()
}

/** What the code alone recovers of a group of the last inputs, if it loses any. */
async function decodeEarly(
  answered: readonly number[],
  subject: Subject,
  scores: Scores,
  random: Random,
): Promise<void> {
  const { codec, own } = subject
  const chosen = answered.slice(-codec.scheme.queries)
  if (chosen.length < codec.scheme.queries) return
  const trial = new Trial(subject, chosen, await own.of(chosen))
  trial.decode(lossesOf(codec.scheme, random).have, await trial.answers())
  scores.decoded(trial.outcomes())
}

/** The model alone is measured on this share of all inputs: in step with the groups, so that the time left can be told. */
async function measureAlone(
  others: readonly number[],
  share: number,
  { own, inputs }: Subject,
  scores: Scores,
  course: Course,
): Promise<void> {
  const due = Math.ceil(share * inputs.length)
  for (const input of others) {
    if (scores.measured >= due) return
    if (scores.has(input)) continue
    scores.alone(input, (await own.of([input]))[0])
    course.alone()
  }
}

/** How far an evaluation is, for who wants to know. */
class Course {
  readonly #options: EvaluateOptions
  readonly #scores: Scores
  readonly #own: Answers
  readonly #groups: number
  /** Inputs that groups are drawn from. */
  readonly #others: number
  #done = 0
  /** Mixed rows so far. */
  #mixed = 0
  /** Inputs that were drawn so far. */
  readonly #drawn = new Set<number>()

  constructor(options: EvaluateOptions, scores: Scores, own: Answers, groups: number, others: number) {
    this.#options = options
    this.#scores = scores
    this.#own = own
    this.#groups = groups
    this.#others = others
  }

  /** So many inputs were answered, and remembered if there is a memory. */
  input(done: number, total: number): void {
    this.#tell('inputs', done, total, 1)
  }

  /** So many groups were measured; the last one mixed so many rows. */
  group(done: number, mixed: number, chosen: readonly number[]): void {
    const before = this.#drawn.size
    for (const input of chosen) this.#drawn.add(input)
    this.#done = done
    this.#mixed += mixed
    this.#tell('groups', done, this.#groups, this.#drawn.size - before)
  }

  /** One more input was answered on the way. */
  alone(): void {
    this.#tell('groups', this.#done, this.#groups, 0)
  }

  #tell(stage: Progress['stage'], done: number, total: number, looked: number): void {
    const groups = this.#groups - this.#done
    const known = stage === 'inputs' ? total - done : 0
    const { codec, inputs: all, labels } = this.#options
    const unanswered = all.length - this.#own.count
    const first = Math.min(known, unanswered)
    const share = 1 - (1 - codec.scheme.queries / this.#others) ** groups // of what groups are drawn from, in any of them
    const rows = first + (labels ? 1 : share) * (unanswered - first) + groups * this.#rowsOfGroup
    const inputs = known + share * (this.#others - this.#drawn.size)
    this.#options.onProgress?.({
      stage,
      done,
      total,
      looked,
      left: { rows, inputs, groups },
      figures: () => this.#scores.figures(),
    })
  }

  /** Rows of a group that are no queries: they are asked for every time. */
  get #rowsOfGroup(): number {
    const { code, scheme } = this.#options.codec
    const planned = code === 'systematic' ? scheme.workers - scheme.queries : scheme.workers
    return (this.#done ? this.#mixed / this.#done : planned) + Number(hasSumParity(this.#options.codec))
  }
}

/** What the trials share. The memory has room for what it is asked to hold, else for as much as a predictor's. */
function subjectOf(options: EvaluateOptions, criterion: Criterion, pairs: number): Subject {
  const { codec, model, inputs, own = new Answers(model, inputs) } = options
  const { signature } = model
  const memory = pairs > 0 && (memoryOptionsOf(options, pairs) ?? {})
  const warn = (text: string) => {
    throw new TypeError(text) // figures without the memory would pass for figures with it
  }
  const experience = new Experience(codec.core, signature, { criterion, kernels: codec.kernels, memory, warn })
  const recalled = new Kept<Recollection | undefined>(rowLength(signature.outputs))
  const recall = (input: number, row: Float32Array) =>
    recalled.get(input) ?? recalled.set(input, experience.recall(row)) // groups do not change what is remembered
  return { model, codec, inputs, own, criterion, experience, recall }
}

/** What a predictor must be told so that its memory holds so many pairs, compared like this; undefined where nothing. */
function memoryOptionsOf({ model, features, memory }: EvaluateOptions, pairs: number): Evaluation['memoryOptions'] {
  const bytes = Memory.bytes(sizesOf(model), pairs)
  const more = memory !== undefined && pairs > 0 && bytes > DEFAULT_BYTES
  return more || features ? { ...(more && { bytes }), ...(features && { features }) } : undefined
}

const sizesOf = ({ signature }: BatchModel) => ({
  shape: rowShape(signature.inputs),
  outputs: rowLength(signature.outputs),
})

/** The options with their defaults, which are those of a predictor with the same scheme. */
function settingsOf(options: EvaluateOptions) {
  checkNames('', options, optionNames)
  const { model, codec, inputs, labels } = options
  const { queries, byzantine } = codec.scheme
  const asked = { scheme: { queries }, policy: options.policy, minConfidence: options.minConfidence }
  const { choices, memory: wanted } = checkSettings(asked, codec)
  const { policy, minConfidence } = choices
  const remembers = wanted !== false && !byzantine
  const fits = options.features !== undefined || Memory.fits(sizesOf(model))
  const spare = Math.min(1000, inputs.length >> 1, inputs.length - queries)
  const memory = checkInteger('memory', options.memory ?? (remembers && fits ? Math.max(0, spare) : 0), 0)
  if (byzantine && memory) throw new RangeError(`memory: expected 0 with byzantine > 0, got ${memory}`)
  const groups = checkInteger('groups', options.groups ?? 500, 1)
  const learn = checkInteger('learn', options.learn ?? Math.min(300, Math.floor(groups / 2)), 0)
  const seed = checkInteger('seed', options.seed ?? 1, 0)
  const sets = checkInteger('sets', options.sets ?? 200, 0)
  const criterion = criterionOf(model.signature.outputs, options)
  if (inputs.length < queries + memory)
    throw new RangeError(`inputs: expected >= ${queries + memory} (queries, memory), got ${inputs.length}`)
  if (labels) checkLabels(labels, inputs.length, criterion)
  const rules = { policy, minConfidence, labels }
  return { groups, learn, seed, sets, criterion, rules, memory }
}

function checkLabels(labels: ArrayLike<number>, count: number, criterion: Criterion): void {
  if (criterion.kind !== 'label' || criterion.positions > 1) {
    const what = criterion.kind === 'label' ? `${criterion.positions} labels each` : 'no label'
    throw new RangeError(`labels: expected none for a model whose outputs have ${what}, got ${labels.length}`)
  }
  if (labels.length !== count) throw new RangeError(`labels: expected ${count}, one per input, got ${labels.length}`)
  const { classes } = criterion
  const label = Array.from(labels).find((each) => !Number.isInteger(each) || each < 0 || each >= classes)
  if (label !== undefined) throw new RangeError(`labels: expected classes 0 to ${classes - 1}, got ${label}`)
}
