/** How much accuracy coding costs on a user's own model and data. In process, no workers, no time. */

import type { Codec } from '../codec/codec'
import { type Criterion, type CriterionOptions, criterionOf } from '../criterion'
import { checkInteger, checkNames } from '../errors'
import { Experience } from '../history/experience'
import { DEFAULT_BYTES, type Features, Memory } from '../history/memory'
import { checkPolicy, defaultPolicy, type Policy } from '../history/worth'
import { seeded } from '../random'
import { rowLength, rowShape } from '../tensor'
import { parseAttack } from '../workers/attacks'
import { groupsOf, lossesOf, survivorSets, withLies } from './draws'
import { answersOf, type BatchModel } from './model'
import { rivalsOf } from './rivals'
import { type Evaluation, Scores } from './scores'
import { type Subject, Trial } from './trial'

export interface EvaluateOptions extends CriterionOptions {
  model: BatchModel
  codec: Codec
  /** One row per query, as long as the model's inputs together. */
  inputs: readonly Float32Array[]
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
   * How many inputs, in random order, are remembered with the model's answers; groups come from the rest. Default: with
   * the systematic code and byzantine 0 half of them, at most 1,000; else 0.
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
  /** Told after each group. */
  onProgress?: ((done: number, total: number) => void) | undefined
}

const optionNames = [
  ...['model', 'codec', 'inputs', 'labels', 'labelAxis', 'tolerance', 'groups', 'seed', 'attack', 'memory', 'grouping'],
  ...['features', 'policy', 'minConfidence', 'learn', 'sets', 'onProgress'],
]

/**
 * Groups of K random inputs, each coded, answered, robbed of S random results, and decoded. The same seed draws the
 * same groups and losses for every codec with the same K and N, so that their figures can be compared in pairs.
 *
 * @throws RangeError for inputs or labels that do not fit, and for options out of range
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const { model, codec, inputs, onProgress } = options
  const { groups, learn, seed, sets: most, criterion, rules, memory } = settingsOf(options)
  const { queries: K, workers: N, stragglers: S, byzantine: E } = codec.scheme
  const [drawing, losing, lying] = [seeded(seed), seeded(seed + 0x51ed270b), seeded(seed + 0x2c1b3c6d)]
  const attack = parseAttack(options.attack ?? 'gauss:10')
  const own = await answersOf(model, inputs)
  const shuffled = drawing.choose(inputs.length, inputs.length)
  const experience = experienceOf(options, criterion, own, shuffled.slice(0, memory))
  const nextGroup = groupsOf(K, options.grouping ?? 'random', codec.core, inputs, shuffled.slice(memory), drawing)
  const sets = survivorSets(N, S, most, losing)
  const subject: Subject = { model, codec, inputs, own, criterion, experience }
  const rivals = Object.entries(rivalsOf(subject))
  const scores = new Scores(subject, rules)

  for (let done = 0; done < groups; done++) {
    const chosen = nextGroup()
    const trial = new Trial(subject, chosen)
    const honest = await trial.answers()
    const { gone, have, liars } = lossesOf(codec.scheme, losing)
    const answers = withLies(honest, liars, attack, lying)
    const accuracy = (survivors: readonly number[]) => {
      trial.decode(survivors, answers)
      return scores.accuracy(trial.outcomes())
    }

    const suspects = trial.decode(have, answers)
    const outcomes = trial.outcomes()
    scores.group(outcomes, gone, done >= learn)
    trial.learn()
    if (done < learn) trial.grade(outcomes, honest)
    for (const [name, rival] of rivals) {
      const lost = losing.below(K)
      scores.rival(name, await rival(chosen, lost), chosen[lost])
    }
    scores.tried(accuracy([...honest.keys()]), sets.map(accuracy))
    if (E) scores.located(suspects, liars, trial.decode(have, honest).length > 0)
    onProgress?.(done + 1, groups)
  }
  return { tolerance: experience.tolerance, memory, policy: rules.policy, ...scores.summary() }
}

/** What a predictor would have learned from the model's own answers to the inputs `warm`, with room for all of them. */
function experienceOf(
  { codec, model, inputs, features }: EvaluateOptions,
  criterion: Criterion,
  own: readonly Float32Array[],
  warm: readonly number[],
): Experience {
  const { signature } = model
  const sizes = { shape: rowShape(signature.inputs), outputs: rowLength(signature.outputs) }
  const remembers = warm.length > 0 && Memory.fits(sizes)
  const memory = remembers && { features, bytes: Math.max(DEFAULT_BYTES, Memory.bytes(sizes, warm.length)) }
  const warn = (text: string) => {
    throw new TypeError(text) // figures without the memory would pass for figures with it
  }
  const experience = new Experience(codec.core, signature, { criterion, kernels: codec.kernels, memory, warn })
  for (const answer of own) experience.see(answer)
  for (const i of warm) Array.from(experience.teach(inputs[i], own[i])) // at once: nobody waits
  experience.settle()
  return experience
}

/** The options with their defaults, which are the predictor's. */
function settingsOf(options: EvaluateOptions) {
  checkNames('', options, optionNames)
  const { model, codec, inputs, labels } = options
  const { queries, byzantine } = codec.scheme
  const policy = checkPolicy(options.policy ?? defaultPolicy(codec.code, byzantine), byzantine)
  const remembers = codec.code === 'systematic' && !byzantine
  const spare = Math.min(1000, inputs.length >> 1, inputs.length - queries)
  const memory = checkInteger('memory', options.memory ?? (remembers ? Math.max(0, spare) : 0), 0)
  if (byzantine && memory) throw new RangeError(`memory: expected 0 with byzantine > 0, got ${memory}`)
  const groups = checkInteger('groups', options.groups ?? 500, 1)
  const learn = checkInteger('learn', options.learn ?? Math.min(300, Math.floor(groups / 2)), 0)
  const seed = checkInteger('seed', options.seed ?? 1, 0)
  const sets = checkInteger('sets', options.sets ?? 200, 0)
  const criterion = criterionOf(model.signature.outputs, options)
  checkInputs(inputs, rowLength(model.signature.inputs), queries + memory)
  if (labels) checkLabels(labels, inputs.length, criterion)
  const rules = { policy, minConfidence: options.minConfidence ?? 0.9, labels }
  return { groups, learn, seed, sets, criterion, rules, memory }
}

function checkInputs(inputs: readonly Float32Array[], length: number, needed: number): void {
  if (inputs.length < needed)
    throw new RangeError(`inputs: expected >= ${needed} (queries, memory), got ${inputs.length}`)
  const odd = inputs.findIndex((row) => row.length !== length)
  if (odd >= 0) throw new RangeError(`inputs[${odd}]: expected ${length} values, got ${inputs[odd].length}`)
  const bad = inputs.findIndex((row) => !row.every(Number.isFinite))
  if (bad >= 0) {
    const at = inputs[bad].findIndex((value) => !Number.isFinite(value))
    throw new RangeError(`inputs[${bad}]: expected finite values, got ${inputs[bad][at]} at ${at}`)
  }
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
