/** How far an evaluation is, told after every step. */

import type { Experiment } from './experiment'
import { hasSumParity } from './rivals'
import type { EvaluationScores, Figures } from './scores'

export interface EvaluationProgress {
  /** First the model's answers to `inputs` are remembered, then `groups` are measured. */
  stage: 'inputs' | 'groups'
  done: number
  total: number
  /** Inputs that were looked at for the first time since the last call. */
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

/**
 * @param groups  that will be measured
 * @param others  inputs that they are drawn from
 */
export function progressOf(
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
  const tell = (progress: Pick<EvaluationProgress, 'stage' | 'done' | 'total' | 'looked'>, known = 0) => {
    const unanswered = all.length - own.count
    const first = Math.min(known, unanswered)
    const share = 1 - (1 - queries / others) ** (groups - done) // of what groups are drawn from, in any of them
    const rows = first + (labels ? 1 : share) * (unanswered - first) + (groups - done) * rowsOfGroup()
    const left = { rows, inputs: known + share * (others - drawn.size), groups: groups - done }
    onProgress({ ...progress, left, figures: () => scores.figures() })
  }
  return {
    /** One more input was answered, and remembered if there is a memory. */
    input: (count: number, total: number) => tell({ stage: 'inputs', done: count, total, looked: 1 }, total - count),
    /** One more input was answered on the way. */
    alone: () => tell({ stage: 'groups', done, total: groups, looked: 0 }),
    /** One more group was measured. @param more  mixed rows */
    group(more: number, chosen: readonly number[]) {
      const before = drawn.size
      for (const input of chosen) drawn.add(input)
      done++
      mixed += more
      tell({ stage: 'groups', done, total: groups, looked: drawn.size - before })
    },
  }
}
