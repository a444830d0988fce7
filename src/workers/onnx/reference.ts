/**
 * What an accelerator computes beside what the CPU does: drivers and software that stands in for a graphics card answer wrongly without
 * an error, and several of a kind agree with each other.
 */

import { FAR } from '../../base/criterion'
import { type ElementType, isEqual, isReal, realsOf, type TensorData } from '../../base/element'
import { ApproxiferError } from '../../base/errors'
import { rootMeanSquare } from '../../base/stats'
import type { Signature, TensorList } from '../../base/tensor'
import type { SampleAnswer } from './samples'

/** An output whose root mean square is below this counts as zeros. */
const NEGLIGIBLE = 1e-6

/** Both runtimes know it by this name. */
export const CPU = 'cpu'
/** What every runtime has, and answers alike. */
export const isReference = (provider: string) => provider === 'wasm' || provider === CPU

interface Accelerated {
  readonly providers: readonly string[]
  readonly signature: Signature
  /** How far honest values may be off, over the root mean square of their output. */
  readonly rounding: number
}

/** What a predictor would take for a lie is refused: two honest CPUs beside two GPUs that were .5 % off were ejected once. @param truth  runs the model on the CPU. @throws ApproxiferError MODEL with the worst difference */
export async function compareWithCpu(
  { providers, signature: { outputs }, rounding }: Accelerated,
  tried: readonly SampleAnswer[],
  truth: (query: TensorList) => Promise<TensorList>,
): Promise<void> {
  const right: TensorList[] = []
  for (const { query } of tried) right.push(await truth(query))
  const worst = Math.max(
    ...outputs.map(({ type }, i) => {
      return worstOf(
        type,
        tried.map(({ answer }) => answer[i].data),
        right.map((answer) => answer[i].data),
      )
    }),
  )
  if (worst <= FAR * rounding) return
  const percent = (share: number) => `${Number((100 * share).toPrecision(2))} %`
  const off = Number.isFinite(worst) ? `${percent(worst)} of their size` : 'beyond measure'
  const todo = `above ${FAR} times verify.rounding they count as lies; where that is honest hardware, raise it`
  throw new ApproxiferError(
    'MODEL',
    `wrong answers with providers ${providers}: values are ${off} off those of the CPU, expected ${percent(FAR * rounding)} at most: ${todo}`,
  )
}

/** The largest difference of one output in several answers, over the largest root mean square that it should have: one answer may be all zeros. */
function worstOf(type: ElementType | undefined, given: readonly TensorData[], right: readonly TensorData[]): number {
  if (!isReal(type)) return given.every((data, i) => isEqual(data, right[i])) ? 0 : Number.POSITIVE_INFINITY
  const [own, cpu] = [given, right].map((all) => all.map((data) => realsOf(type ?? 'float32', data)))
  const size = Math.max(...cpu.map(rootMeanSquare)) + NEGLIGIBLE
  let worst = 0
  own.forEach((values, i) => {
    for (let k = 0; k < Math.max(values.length, cpu[i].length); k++) {
      const off = Object.is(values[k], cpu[i][k]) ? 0 : Math.abs(values[k] - cpu[i][k]) / size
      worst = Math.max(worst, Number.isNaN(off) ? Number.POSITIVE_INFINITY : off)
    }
  })
  return worst
}
