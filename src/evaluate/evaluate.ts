/** Measures how much accuracy coding costs on a user's own model and data. In process, without workers or time. */

import { chooses } from '../base/criterion'
import { seeded } from '../base/random'
import { drawsOf } from './draws'
import type { EvaluateOptions, EvaluationProgress, Experiment } from './experiment'
import { experimentOf, memoryOptionsOf, settingsOf } from './experiment'
import { GroupScorer, hasSumParity } from './group-scores'
import { type Evaluation, EvaluationScores } from './scores'

/** One in this many inputs is looked up before the memory learns it: enough for a first figure, at little cost. */
const ASK_EVERY = 8
/** Without labels, this many answers determine the tolerance (a share of their standard deviation) to a few percent. */
const REPORT_EVERY = 128

/**
 * Measures groups of K random inputs: each is coded, answered, robbed of S random results, and decoded. The same seed draws the same groups
 * and losses for every codec with the same K and N, so that their figures can be compared in pairs.
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
  await learnFrom(known, course)
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
 * Teaches the memory what a predictor would have learned: the model's own answers to the inputs `known`. Without labels, the deviation of
 * answers decides which are right; if `known` is small, some of the other inputs are answered for it too.
 */
async function learnFrom(known: readonly number[], { experiment, scores, progress, others }: Course): Promise<void> {
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
    if (n >= first.length) Array.from(experience.train(row, answer)) // all steps at once: no query waits
    progress.input(n + 1, all.length)
  }
  experience.settle()
}

/** Measures the model alone on this share of all inputs, in step with the groups, so that the remaining time can be estimated. */
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
 * Reports the progress of an evaluation after each step.
 *
 * @param groups  number of groups to measure
 * @param others  number of inputs that they are drawn from
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
  /** Rows of a group besides its queries, which have to be answered each time. */
  const rowsOfGroup = () => {
    const planned = codec.code === 'systematic' ? workers - queries : workers
    return (done ? mixed / done : planned) + Number(hasSumParity(codec))
  }
  /** @param known  number of inputs that the memory has still to learn */
  const report = (progress: Pick<EvaluationProgress, 'stage' | 'done' | 'total' | 'lookedUp'>, known = 0) => {
    const unanswered = all.length - own.count
    const first = Math.min(known, unanswered)
    const share = 1 - (1 - queries / others) ** (groups - done) // expected share of `others` that the remaining groups draw
    const rows = first + (labels ? 1 : share) * (unanswered - first) + (groups - done) * rowsOfGroup()
    const left = { rows, inputs: known + share * (others - drawn.size), groups: groups - done }
    onProgress({ ...progress, left, figures: () => scores.figures() })
  }
  return {
    /** An input was answered, and learned if there is a memory. */
    input: (count: number, total: number) =>
      report({ stage: 'inputs', done: count, total, lookedUp: 1 }, total - count),
    /** An input was answered to measure the model alone. */
    alone: () => report({ stage: 'groups', done, total: groups, lookedUp: 0 }),
    /** A group was measured. @param more  number of its mixed rows */
    group(more: number, chosen: readonly number[]) {
      const before = drawn.size
      for (const input of chosen) drawn.add(input)
      done++
      mixed += more
      report({ stage: 'groups', done, total: groups, lookedUp: drawn.size - before })
    },
  }
}
