/** How each output of a model is read: as scores of classes, as measurements, or as what is equal or not; and why. What users say goes before. */

import { checkNames, checkObject, checkWord, expected } from './check'
import type { Labels, OutputCriterion } from './criterion'
import { isReal } from './element'
import { isOpen, shownShape, size, type TensorSpec } from './tensor'

/** `last`: a label is the index of the largest value along the last axis. `none`: the outputs have no label. */
export type LabelAxis = 'last' | 'none'

export const labelAxes: readonly LabelAxis[] = ['last', 'none']

/** When an output is right: its largest value is where the model's is, its values are equal, or their root mean square difference is at most so much. */
export type RightOutput = 'label' | 'equal' | number

export interface CriterionOptions {
  /** Where the first output has its labels; a recovered answer is right if it has all of the model's own. Default: as it is read. */
  labelAxis?: LabelAxis | undefined
  /**
   * Of the one output without a label: it is right if the root mean square difference of its values to the model's own is at most this.
   * Default: a tenth of the standard deviation of the model's answers.
   */
  tolerance?: number | undefined
  /** By the output's name; an answer is right if each output is. Default: as it is read. */
  outputs?: Readonly<Record<string, RightOutput>> | undefined
}

export interface RightReading {
  output: string
  right: OutputCriterion
  /** In words, what follows from what. */
  why: string
  /** What should be said where the reading may be wrong. */
  doubt?: string
}

const SCORES = /logit|prob|score|class|softmax/i
/** Goes before the names of scores: scores of boxes, embeddings of classes. */
const MEASUREMENTS =
  /embed|hidden|state|feature|pool|latent|box|point|coord|pose|offset|depth|vector|regress|value|distance/i

/**
 * @param field  what stands in front of the options' names in errors
 * @throws TypeError, RangeError for an option out of range, or one that this model's outputs do not allow
 */
export function readingsOf(
  outputs: readonly TensorSpec[],
  { labelAxis, tolerance, outputs: stated = {} }: CriterionOptions,
  field = '',
): RightReading[] {
  checkNames(`${field}outputs`, checkOutputs(`${field}outputs`, stated), outputs.map(({ name }) => name)) // biome-ignore format: one line
  if (labelAxis !== undefined) checkWord(`${field}labelAxis`, labelAxis, labelAxes)
  if (tolerance !== undefined) checkTolerance(`${field}tolerance`, tolerance)
  const readings = outputs.map((spec, i): RightReading => {
    const output = spec.name
    const why = 'as it is said to be'
    const said = Object.hasOwn(stated, output) ? stated[output] : undefined
    const at = `${field}outputs.${output}`
    if (said === 'equal') return { output, right: { kind: 'equal' }, why }
    if (said !== undefined && !isReal(spec.type)) throw new RangeError(expected(at, `'equal' for ${spec.type}`, said))
    if (said === 'label') return { output, right: labelsOf(spec, at, said), why }
    if (said !== undefined) return { output, right: { kind: 'tolerance', tolerance: said }, why }
    if (i || labelAxis === undefined) return readingOf(spec, outputs)
    return { output, right: labelAxis === 'none' ? unlike(spec) : labelsOf(spec, `${field}labelAxis`, 'last'), why }
  })
  return tolerance === undefined ? readings : tolerating(readings, tolerance, `${field}tolerance`)
}

/** One tolerance is of one output: others have other units. */
function tolerating(readings: readonly RightReading[], tolerance: number, field: string): RightReading[] {
  const free = readings.filter(({ right }) => right.kind === 'tolerance' && right.tolerance === undefined)
  if (!free.length) throw new RangeError(`${field}: expected none for outputs with labels (labelAxis 'last'), got ${tolerance}`) // biome-ignore format: one line
  if (free.length > 1) {
    const names = free.map(({ output }) => `'${output}'`).join(', ')
    throw new RangeError(`${field}: expected one for each of ${names} (right.outputs), got ${tolerance} for all`)
  }
  return readings.map((each) => (each === free[0] ? { ...each, right: { kind: 'tolerance', tolerance } } : each))
}

/** By its type, shape and name. */
function readingOf(spec: TensorSpec, outputs: readonly TensorSpec[]): RightReading {
  const { name: output, shape, type } = spec
  const lengths = shape.filter((n) => n > 1)
  const measured = (why: string): RightReading => ({ output, right: unlike(spec), why })
  if (!isReal(type)) return measured(`${type} is no real number`)
  if (isOpen(spec)) return measured('its shape may differ')
  if (lengths.length !== 1) return measured(lengths.length ? 'it has several axes' : 'it is one value')
  const [n] = lengths
  const labels = { kind: 'label', positions: 1, classes: n } as const
  const rows = outputs.find((other) => other !== spec && other.shape.length > 1 && other.shape[0] === n)
  const doubt = (read: string, otherwise: RightOutput) =>
    `output '${output}' of [${shape}] is read as ${read}, which is a guess: if it is something else, say right: { outputs: ${sayOutputs({ [output]: otherwise })} }`
  if (rows) {
    const why = `it has as many values as '${rows.name}' has rows`
    return { ...measured(why), doubt: doubt(`one measurement for each of the rows of '${rows.name}'`, 'label') }
  }
  if (MEASUREMENTS.test(output)) return measured('its name says measurements')
  if (SCORES.test(output)) return { output, right: labels, why: 'its name says scores of classes' }
  const told = doubt(`scores of ${n} classes`, 0.1)
  return { output, right: labels, why: 'it is a vector, of which its name says nothing', doubt: told }
}

/** What is right where there are no labels. */
function unlike({ type }: TensorSpec): OutputCriterion {
  return isReal(type) ? { kind: 'tolerance' } : { kind: 'equal' }
}

/** @param field, got  of the option that asks for labels */
function labelsOf(spec: TensorSpec, field: string, got: string): Labels {
  const { name, shape, type } = spec
  const classes = shape.findLast((n) => n > 1) // of [10, 1, 1] the first
  const isFixed = isReal(type) && !isOpen(spec)
  if (isFixed && classes !== undefined) return { kind: 'label', positions: size(spec) / classes, classes }
  const what = isFixed ? 'one value' : `${type ?? 'float32'} [${shownShape(spec)}]`
  const wanted = got === 'last' ? "'none'" : "'equal' or a tolerance"
  throw new RangeError(`${field}: expected ${wanted} for output '${name}' of ${what}, got '${got}'`)
}

/** What should be said where outputs may be read wrongly. */
export const doubtsOf = (readings: readonly RightReading[]): string[] => readings.flatMap(({ doubt }) => doubt ?? [])

/** As a program would write them. */
export function sayOutputs(outputs: NonNullable<CriterionOptions['outputs']>): string {
  const each = Object.entries(outputs).map(([name, right]) => {
    const key = /^[a-z_]\w*$/i.test(name) ? name : JSON.stringify(name)
    return `${key}: ${typeof right === 'number' ? right : `'${right}'`}`
  })
  return `{ ${each.join(', ')} }`
}

export function checkTolerance(field: string, value: unknown, or = ''): number {
  if (typeof value === 'number' && value > 0 && value < Number.MAX_VALUE) return value
  throw new RangeError(expected(field, `${or}a number above 0`, value))
}

export function checkOutputs(field: string, value: unknown): NonNullable<CriterionOptions['outputs']> {
  for (const [name, right] of Object.entries(checkObject(field, value, 'an object of outputs'))) {
    if (right !== 'label' && right !== 'equal') checkTolerance(`${field}.${name}`, right, "'label', 'equal' or ")
  }
  return value as NonNullable<CriterionOptions['outputs']>
}
