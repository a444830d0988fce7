/** What an evaluation is about: a model, its inputs and own answers, a codec, and what a predictor would have learned. */

import type { Codec } from '../codec/codec'
import type { Core } from '../core/core'
import { type Criterion, labelAt } from '../criterion'
import { DEFAULT_BYTES } from '../memory/domain'
import { Experience, type ExperienceOptions } from '../memory/experience'
import { Memory, type MemoryOptions, type Recollection } from '../memory/memory'
import { rowLength } from '../tensor'
import { type BatchModel, BoundedCache, OwnAnswers, type Rows, sizesOf } from './model'
import type { EvaluateOptions, EvaluateSettings } from './options'

export interface Experiment {
  readonly model: BatchModel
  readonly codec: Codec
  readonly inputs: Rows
  /** The model's own answers to the inputs. */
  readonly own: OwnAnswers
  readonly criterion: Criterion
  readonly labels: ArrayLike<number> | undefined
  readonly experience: Experience
  /** What the memory says of an input. */
  readonly recall: (input: number, row: Float32Array) => Recollection | undefined
}

/** An input and the model's own answer to it. */
export interface AskedInput {
  input: number
  own: Float32Array
}

/** The memory has room for what it is asked to hold, else for as much as a predictor's. */
export function experimentOf(options: EvaluateOptions, { criterion, memory: pairs }: EvaluateSettings): Experiment {
  const { codec, model, inputs, labels, own = new OwnAnswers(model, inputs) } = options
  const memory = pairs > 0 && (memoryOptionsOf(options, pairs) ?? {})
  const experience = experienceOf(codec.core, model, { criterion, kernels: codec.kernels, memory })
  const recalled = new BoundedCache<Recollection | undefined>(rowLength(model.signature.outputs))
  const recall = (input: number, row: Float32Array) =>
    recalled.get(input) ?? recalled.set(input, experience.recall(row)) // groups do not change what is remembered
  return { model, codec, inputs, own, criterion, labels, experience, recall }
}

export function experienceOf(
  core: Core,
  { signature }: BatchModel,
  options: Omit<ExperienceOptions, 'warn'>,
): Experience {
  const warn = (text: string) => {
    throw new TypeError(text) // figures without the memory would pass for figures with it
  }
  return new Experience(core, signature, { ...options, warn })
}

/** What a predictor must be told so that its memory holds this many pairs, compared like this; undefined where nothing. */
export function memoryOptionsOf(
  { model, features, memory }: EvaluateOptions,
  pairs: number,
): Pick<MemoryOptions, 'bytes' | 'features'> | undefined {
  const bytes = Memory.bytes(sizesOf(model), pairs)
  const more = memory !== undefined && pairs > 0 && bytes > DEFAULT_BYTES
  return more || features ? { ...(more && { bytes }), ...(features && { features }) } : undefined
}

/** 1 for an answer with the right label or, where there is none, one that agrees with the model's own; else 0. */
export function right(
  { criterion, labels, experience }: Experiment,
  answer: Float32Array | undefined,
  asked: AskedInput,
): number {
  if (!answer) return 0
  if (labels && criterion.kind === 'label') return Number(labelAt(answer, criterion) === labels[asked.input])
  return Number(experience.confidence.agrees(answer, asked.own) === true)
}

/** That a guess is right. */
export function chanceOf(criterion: Criterion): number {
  return criterion.kind === 'label' && criterion.positions === 1 ? 1 / criterion.classes : 0
}
