/**
 * Compares an accelerator's answers with the CPU's. Graphics drivers and software emulations may compute wrong answers without an error,
 * and several of the same kind agree with each other.
 */

import { FAR } from '../../base/criterion'
import { type ElementType, isEqual, isReal, realsOf, type TensorData } from '../../base/element'
import { ApproxiferError } from '../../base/errors'
import { rootMeanSquare } from '../../base/stats'
import type { Signature, TensorList } from '../../base/tensor'
import type { SampleAnswer } from './samples'

/** An output whose root mean square is below this counts as zero. */
const NEGLIGIBLE = 1e-6

/** The CPU provider's name in both runtimes. */
export const CPU = 'cpu'
/** Providers that every runtime has, whose answers are taken for right. */
export const isReference = (provider: string) => provider === 'wasm' || provider === CPU

interface Accelerated {
  readonly providers: readonly string[]
  readonly signature: Signature
  /** Tolerated difference of values, relative to the root mean square of their output. */
  readonly rounding: number
}

/**
 * Rejects an accelerator whose answers a predictor would take for lies: once two GPUs that were off by .5 % got two honest CPUs ejected.
 * @param truth  runs the model on the CPU. @throws ApproxiferError MODEL with the largest difference
 */
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

/** The largest difference of an output over all answers, relative to its largest root mean square, since one answer may be all zeros. */
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
