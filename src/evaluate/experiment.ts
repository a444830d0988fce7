/** Options of `evaluate`, with the defaults of `createPredictor`, and the experiment that is made of them. */

import { checkInteger, checkNames } from '../base/check'
import type { Policy } from '../base/choices'
import { type Criterion, criterionOf, judgedOf, labelAt } from '../base/criterion'
import type { Right } from '../base/output-kind'
import { rowLength } from '../base/tensor'
import type { Core } from '../core/core'
import { DEFAULT_BYTES } from '../memory/domain'
import { Experience, type ExperienceOptions } from '../memory/experience'
import { type Features, Memory, type MemoryOptions, type Recollection } from '../memory/memory'
import { predictorWords } from '../predictor/option-table'
import { checkOptions, settingsOf as predictorSettings } from '../predictor/settings'
import type { Coding } from './coding'
import { type BatchModel, BoundedCache, OwnAnswers, type Rows, sizesOf } from './model'
import type { Figures } from './statistics'

/** Progress of an evaluation, reported after each step. */
export interface EvaluationProgress {
  /** First the memory learns the model's answers to `inputs`, then `groups` are measured. */
  stage: 'inputs' | 'groups'
  done: number
  total: number
  /** Inputs looked up for the first time since the last call. */
  lookedUp: number
  /** The remaining work. */
  left: {
    /** Expected number of rows through the model. */
    rows: number
    /** Expected number of inputs to look up for the first time: those to learn, and those that groups will draw. */
    inputs: number
    groups: number
  }
  /** The figures so far; computed when called. */
  figures(): Figures
}

/** `order` returns a permutation of the rows. */
export interface Grouping {
  groups: number
  order: (rows: readonly Float32Array[]) => number[]
}

/** The option `right` of a predictor. */
export interface Rightness {
  right?: Right | undefined
}

export interface EvaluateOptions extends Rightness {
  model: BatchModel
  /** The code: a `Codec`, or one of a user's module. */
  codec: Coding
  /** One row per query, as long as the model's inputs together; each is read when it is needed. */
  inputs: Rows
  /** The model's answers to the inputs, which several evaluations may share. Default: computed when needed. */
  own?: OwnAnswers | undefined
  /**
   * The right label of each query: the index of the largest value in the first output. Default: none; an answer is then right if it has the
   * model's own label or, without labels, is within the tolerance of the model's answer.
   */
  labels?: ArrayLike<number> | undefined
  /** Default 500. */
  groups?: number | undefined
  /** Default 1. */
  seed?: number | undefined
  /** How `byzantine` workers lie; see `attackForms`. Default 'gauss:10'. */
  attack?: string | undefined
  /**
   * Number of inputs, in random order, whose answers the memory learns; groups are drawn from the rest. Default: if `createPredictor` would
   * have a memory, half of the inputs, at most 1,000; else 0. The memory gets the room that a given number needs.
   */
  memory?: number | undefined
  /** Orders the inputs of this many groups before they are cut into groups (for benches). Default: as drawn. */
  grouping?: Grouping | undefined
  /** How the memory compares queries. Default: patches for images, else raw values. */
  features?: Features | undefined
  /** What lost queries get. Default: as of `createPredictor`. */
  policy?: Policy | undefined
  /** Confidence from which `auto` gives a recovered answer. Default 0.9. */
  minConfidence?: number | undefined
  /** Groups whose lost answers come late and train the confidence. Default 300, at most half. */
  learn?: number | undefined
  /** Survivor sets to try in every group: all if there are no more, else this many random ones. Default 200. */
  sets?: number | undefined
  /**
   * Whether lost queries are also answered from the memory alone and by a sum as parity. Default true. Without, all codes of the same K, S
   * and N lose the same rows: a rival draws losses of its own.
   */
  rivals?: boolean | undefined
  /** Called after each input that is answered by itself, and after each group. */
  onProgress?: ((progress: EvaluationProgress) => void) | undefined
}

const optionNames = [
  ...['model', 'codec', 'inputs', 'own', 'labels', 'right', 'groups', 'seed', 'attack'],
  ...['memory', 'grouping', 'features', 'policy', 'minConfidence', 'learn', 'sets', 'rivals', 'onProgress'],
]

export type EvaluateSettings = ReturnType<typeof settingsOf>

/** @throws TypeError, RangeError for options that are unknown, out of range, or do not fit the model and its inputs */
export function settingsOf(options: EvaluateOptions) {
  checkNames('', options, optionNames, predictorWords)
  const { model, codec, inputs, labels, attack = 'gauss:10', grouping } = options
  const { queries, byzantine } = codec.scheme
  const asked = { scheme: { queries }, policy: options.policy, minConfidence: options.minConfidence }
  const { choices, memory: wanted } = predictorSettings(checkOptions(asked), codec)
  const { policy, minConfidence } = choices
  const remembers = wanted !== false && !byzantine
  const fits = options.features !== undefined || Memory.fits(sizesOf(model))
  const spare = Math.min(1000, inputs.length >> 1, inputs.length - queries)
  const memory = checkInteger('memory', options.memory ?? (remembers && fits ? Math.max(0, spare) : 0), 0)
  if (byzantine && memory) throw new RangeError(`memory: expected 0 with byzantine > 0, got ${memory}`)
  const groups = checkInteger('groups', options.groups ?? 500, 1)
  if (grouping) checkInteger('grouping.groups', grouping.groups, 1, Math.floor((inputs.length - memory) / queries))
  const learn = checkInteger('learn', options.learn ?? Math.min(300, Math.floor(groups / 2)), 0)
  const seed = checkInteger('seed', options.seed ?? 1, 0)
  const sets = checkInteger('sets', options.sets ?? 200, 0)
  const criterion = criterionFor(model, options)
  if (inputs.length < queries + memory)
    throw new RangeError(`inputs: expected >= ${queries + memory} (queries, memory), got ${inputs.length}`)
  if (labels) checkLabels(labels, inputs.length, criterion)
  return {
    groups,
    seed,
    sets,
    attack,
    grouping,
    criterion,
    memory,
    rules: { policy, minConfidence, learn, rivals: options.rivals ?? true },
  }
}

/** @throws RangeError for labels that do not fit the model or its inputs */
export function checkLabels(labels: ArrayLike<number>, count: number, criterion: Criterion): void {
  const [{ right }] = judgedOf(criterion)
  if (right.kind !== 'label' || right.positions > 1) {
    const what = right.kind === 'label' ? `${right.positions} labels each` : 'no label'
    throw new RangeError(`labels: expected none for a model whose outputs have ${what}, got ${labels.length}`)
  }
  if (labels.length !== count) throw new RangeError(`labels: expected ${count}, one per input, got ${labels.length}`)
  const { classes } = right
  const label = Array.from(labels).find((each) => !Number.isInteger(each) || each < 0 || each >= classes)
  if (label !== undefined) throw new RangeError(`labels: expected classes 0 to ${classes - 1}, got ${label}`)
}

/** A model, its inputs and own answers, a codec, and what a predictor would have learned. */
export interface Experiment {
  readonly model: BatchModel
  readonly codec: Coding
  readonly inputs: Rows
  /** The model's own answers to the inputs. */
  readonly own: OwnAnswers
  readonly criterion: Criterion
  /** What lost queries get. */
  readonly policy: Policy
  readonly labels: ArrayLike<number> | undefined
  readonly experience: Experience
  /** The memory's answer to an input. */
  readonly recall: (input: number, row: Float32Array) => Recollection | undefined
}

/** An input and the model's own answer to it. */
export interface QueriedInput {
  input: number
  own: Float32Array
}

/** Makes an experiment. The memory gets room for the pairs that it has to hold, else as much as a predictor's. */
export function experimentOf(
  options: EvaluateOptions,
  { criterion, memory: pairs, rules }: EvaluateSettings,
): Experiment {
  const { codec, model, inputs, labels, own = new OwnAnswers(model, inputs) } = options
  const memory = pairs > 0 && (memoryOptionsOf(options, pairs) ?? {})
  const experience = experienceOf(codec.core, model, { criterion, memory })
  const recalled = new BoundedCache<Recollection | undefined>(rowLength(model.signature.outputs))
  const recall = (input: number, row: Float32Array) =>
    recalled.get(input) ?? recalled.set(input, experience.recall(row)) // groups do not change the memory
  return { model, codec, inputs, own, criterion, policy: rules.policy, labels, experience, recall }
}

export function criterionFor({ signature, hints }: BatchModel, { right }: Rightness): Criterion {
  return criterionOf(signature.outputs, right, hints)
}

export function experienceOf(
  core: Core,
  { signature }: BatchModel,
  options: Omit<ExperienceOptions, 'warn'>,
): Experience {
  const warn = (text: string) => {
    throw new TypeError(text) // otherwise figures without a memory would pass for figures with one
  }
  return new Experience(core, signature, { ...options, warn })
}

/** The options with which a predictor's memory holds this many pairs, compared in this way; undefined if the defaults do. */
export function memoryOptionsOf(
  { model, features, memory }: EvaluateOptions,
  pairs: number,
): Pick<MemoryOptions, 'bytes' | 'features'> | undefined {
  const bytes = Memory.bytes(sizesOf(model), pairs)
  const more = memory !== undefined && pairs > 0 && bytes > DEFAULT_BYTES
  return more || features ? { ...(more && { bytes }), ...(features && { features }) } : undefined
}

/**
 * 1 if the first output has the right label (or, without labels, agrees with the model's own) and all other outputs agree with the model's
 * own; else 0.
 */
export function right(
  { criterion, labels, experience }: Pick<Experiment, 'criterion' | 'labels' | 'experience'>,
  answer: Float32Array | undefined,
  asked: QueriedInput,
): number {
  if (!answer) return 0
  const isRight = judgedOf(criterion).every(({ right }, i) => {
    if (labels && !i && right.kind === 'label') return labelAt(answer, right) === labels[asked.input]
    return experience.confidence.outputAgrees(i, answer, asked.own)
  })
  return Number(isRight)
}

/** The probability that a guess is right. */
export function chanceOf(criterion: Criterion): number {
  return criterion.kind === 'label' && criterion.positions === 1 ? 1 / criterion.classes : 0
}
