/** How much accuracy coding costs on a user's own model and data. In process, no workers, no time. */

import { chooses } from '../base/criterion'
import { type Random, seeded } from '../base/random'
import { drawsOf, lossesOf } from './draws'
import type { EvaluateOptions, EvaluationProgress, Experiment } from './experiment'
import { experimentOf, memoryOptionsOf, settingsOf } from './experiment'
import { GroupScorer, hasSumParity } from './group-scores'
import { type Evaluation, EvaluationScores } from './scores'
import { Trial } from './trial'

/** Of this many inputs, one is asked of the memory before it is told: enough for a first figure, little work. */
const ASK_EVERY = 8
/** After this many inputs a group of the last ones is decoded while the memory can say nothing yet: a first figure. */
const DECODE_EVERY = 32
/** Answers that tell how much all of them differ where there is no label: the tolerance to some percent. */
const REPORT_EVERY = 128

/**
 * Groups of K random inputs, each coded, answered, robbed of S random results, and decoded. The same seed draws the
 * same groups and losses for every codec with the same K and N, so that their figures can be compared in pairs.
 *
 * @throws RangeError for inputs or labels that do not fit, and for options out of range
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const settings = settingsOf(options)
  const { inputs, labels } = options
  const { groups, seed, memory, rules } = settings
  const experiment = experimentOf(options, settings)
  const drawing = seeded(seed)
  const shuffled = drawing.choose(inputs.length, inputs.length)
  const [known, others] = [shuffled.slice(0, memory), shuffled.slice(memory)]
  const scorer = new GroupScorer(experiment, drawsOf(experiment, others, drawing, settings), rules)
  const scores = new EvaluationScores(experiment, rules)
  const progress = progressOf(experiment, scores, groups, others.length, options.onProgress)
  const course = { experiment, scores, progress, others }
  await learnFrom(known, course, seeded(seed + 0x3243f6a8))
  for (let n = 1; n <= groups; n++) {
    const group = await scorer.next()
    scores.group(group)
    if (labels) await measureAlone(n / groups, course)
    progress.group(group.mixed, group.chosen)
  }
  return {
    tolerance: experiment.experience.confidence.tolerance,
    memory: experiment.experience.remembered,
    memoryOptions: memoryOptionsOf(options, memory),
    policy: rules.policy,
    ...scores.summary(),
  }
}

interface Course {
  experiment: Experiment
  scores: EvaluationScores
  progress: ReturnType<typeof progressOf>
  /** Inputs that groups are drawn from. */
  others: readonly number[]
}

/**
 * Shows the memory what a predictor would have learned from: the model's own answers to the inputs `known`. How much they differ
 * says which answers are right where there is no label: then it looks at some of the others, too, if they are few.
 */
async function learnFrom(known: readonly number[], course: Course, random: Random): Promise<void> {
  const { experiment, scores, progress, others } = course
  const { inputs, own, criterion, experience } = experiment
  const labels = chooses(criterion)
  const first = labels ? [] : others.slice(0, Math.max(0, REPORT_EVERY - known.length))
  const all = [...first, ...known]
  for (const [n, input] of all.entries()) {
    const [answer] = await own.of([input])
    const row = inputs.at(input) as Float32Array
    experience.confidence.observe(answer)
    if (labels) scores.alone({ input, own: answer })
    const recalled = n % ASK_EVERY ? undefined : experience.recall(row)
    if (recalled) scores.remembered(recalled.answer, { input, own: answer })
    if (n >= first.length) Array.from(experience.train(row, answer)) // at once: nobody waits
    const isEarly = (n + 1) % DECODE_EVERY === 0 && experience.memory !== 'warm'
    if (isEarly) await decodeEarly(all.slice(0, n + 1), course, random)
    progress.input(n + 1, all.length)
  }
  experience.settle()
}

/** What the code alone recovers of a group of the last inputs, if it loses any. */
async function decodeEarly(answered: readonly number[], { experiment, scores }: Course, random: Random): Promise<void> {
  const { codec, own } = experiment
  const chosen = answered.slice(-codec.scheme.queries)
  if (chosen.length < codec.scheme.queries) return
  const trial = new Trial(experiment, chosen, await own.of(chosen))
  const answers = await trial.answers()
  trial.decode(lossesOf({ ...codec.scheme, workers: answers.length }, random).have, answers)
  scores.decoded(trial.outcomes())
}

/** The model alone is measured on this share of all inputs: in step with the groups, so that the time left can be told. */
async function measureAlone(share: number, { experiment, scores, progress, others }: Course): Promise<void> {
  const due = Math.ceil(share * experiment.inputs.length)
  for (const input of others) {
    if (scores.measured >= due) return
    if (scores.has(input)) continue
    const [answer] = await experiment.own.of([input])
    scores.alone({ input, own: answer })
    progress.alone()
  }
}

/**
 * Tells how far an evaluation is, after every step.
 *
 * @param groups  that will be measured
 * @param others  inputs that they are drawn from
 */
function progressOf(
  { codec, inputs: all, labels, own }: Experiment,
  scores: EvaluationScores,
  groups: number,
  others: number,
  onProgress: (progress: EvaluationProgress) => void = () => {},
) {
  const { queries, workers } = codec.scheme
  const drawn = new Set<number>()
  let [done, mixed] = [0, 0]
  /** Rows of a group that are no queries: they are asked for every time. */
  const rowsOfGroup = () => {
    const planned = codec.code === 'systematic' ? workers - queries : workers
    return (done ? mixed / done : planned) + Number(hasSumParity(codec))
  }
  /** @param known  inputs that are still to be remembered */
  const report = (progress: Pick<EvaluationProgress, 'stage' | 'done' | 'total' | 'lookedUp'>, known = 0) => {
    const unanswered = all.length - own.count
    const first = Math.min(known, unanswered)
    const share = 1 - (1 - queries / others) ** (groups - done) // of what groups are drawn from, in any of them
    const rows = first + (labels ? 1 : share) * (unanswered - first) + (groups - done) * rowsOfGroup()
    const left = { rows, inputs: known + share * (others - drawn.size), groups: groups - done }
    onProgress({ ...progress, left, figures: () => scores.figures() })
  }
  return {
    /** One more input was answered, and remembered if there is a memory. */
    input: (count: number, total: number) =>
      report({ stage: 'inputs', done: count, total, lookedUp: 1 }, total - count),
    /** One more input was answered on the way. */
    alone: () => report({ stage: 'groups', done, total: groups, lookedUp: 0 }),
    /** One more group was measured. @param more  mixed rows */
    group(more: number, chosen: readonly number[]) {
      const before = drawn.size
      for (const input of chosen) drawn.add(input)
      done++
      mixed += more
      report({ stage: 'groups', done, total: groups, lookedUp: drawn.size - before })
    },
  }
}
