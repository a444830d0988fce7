/** For outputs of which nothing tells when they are right: what to say, with a value to try. */

import { criterionFrom, type JudgedOutput, judgedOf, outputIn } from '../base/criterion'
import type { OutputKind } from '../base/output-kind'
import { FirstAnswers } from '../base/refutation'
import { varianceOf } from '../base/stats'
import { isReadAsVector, type TensorSpec } from '../base/tensor'

/** Share of an output's standard deviation within which a value counts as right: what is learned where nothing is said. */
const WITHIN = 0.1

/**
 * @param answers  some of the model's answers, as vectors
 * @returns the flag to say, and why; undefined if the outputs can be read
 */
export function doubtsIn(
  outputs: readonly TensorSpec[],
  kinds: readonly OutputKind[],
  answers: readonly Float32Array[],
): { flag: string; why: string } | undefined {
  if (!isReadAsVector(outputs) || !answers.length) return undefined
  const first = new FirstAnswers(outputs, kinds, () => {})
  for (const answer of answers) first.see(answer)
  const why = first.doubt ?? first.against()
  if (!why) return undefined
  const isRefuted = kinds.every(({ doubt }) => !doubt)
  const judged = judgedOf(criterionFrom(outputs, kinds))
  const values = kinds.flatMap((kind, i) => {
    if (!isRefuted && !kind.doubt) return []
    const value = kind.doubt ? valueFor(kind, judged[i], answers) : within(judged[i], answers)
    return kinds.length === 1 ? value : `${kind.output}=${value}`
  })
  return { flag: `--right ${values.join(',')}`, why: reasonIn(why) }
}

function valueFor({ right }: OutputKind, output: JudgedOutput, answers: readonly Float32Array[]): string {
  if (right.kind === 'label' && right.positions === 1) return 'label'
  return right.kind === 'labels' ? `threshold:${right.threshold}` : within(output, answers)
}

function within(output: JudgedOutput, answers: readonly Float32Array[]): string {
  const deviation = Math.sqrt(varianceOf(answers.map((answer) => outputIn(answer, output))))
  return `within:${Number((WITHIN * deviation).toPrecision(1))}`
}

/** The reason of the first doubt, without what may be said instead. */
const reasonIn = (why: string) => (/got none: ([^;]*)/.exec(why) ?? /: (it was read as [^;]*)/.exec(why))?.[1] ?? why
