/**
 * Decides how each output of a model is read: as classes, as tags, as measurements, or as values that are equal or not. A pure function of
 * the evidence, which is in order: the user's option, config.json beside the model, the graph's last node, the output's name and shape.
 * Later the first answers may refute it (see `refutation.ts`). A reading without evidence is a guess, and nothing approximate is given with
 * it.
 */

import { checkNames, checkNumber, checkObject, expected, isObject } from './check'
import type { OutputCriterion } from './criterion'
import { isReal } from './element'
import { isOpen, shownShape, size, type TensorSpec } from './tensor'

/**
 * When an output is right. `'label'`: its largest value has the same index as the model's; with `axis` (of the shape without the batch),
 * along that axis at every other position. `'labels'`: the same values are above the threshold; default .5, or 0 for logits. `top`: the
 * first items of a ranking are the same, in order. `within`: the root mean square difference to the model's values is at most this.
 * `relative`: each value differs by at most this share of the model's. `'equal'`: all values are equal.
 */
export type RightOutput =
  | 'label'
  | 'labels'
  | 'equal'
  | { readonly axis: number }
  | { readonly threshold: number }
  | { readonly top: number }
  | { readonly within: number }
  | { readonly relative: number }

/** For a model with one output, or by name for several: an answer is right if each output is. Default: decided from the model. */
export type Right = RightOutput | { readonly outputs: Readonly<Record<string, RightOutput>> }

/** What config.json beside a model of the Hugging Face Hub says. */
export interface HubConfig {
  readonly problemType?: string | undefined
  /** Number of entries of `id2label`. */
  readonly labels?: number | undefined
  readonly vocabulary?: number | undefined
}

/** What is known of an output besides its spec. */
export interface OutputHints {
  readonly config?: HubConfig | undefined
  /**
   * The graph's node that computes the output; nodes that only reshape or convert are skipped. `axis`: the axis of the spec's shape that
   * the node works along.
   */
  readonly node?: { readonly op: string; readonly axis?: number | undefined } | undefined
}

type EvidenceKind = 'right' | 'config' | 'graph' | 'name' | 'type' | 'shape'

export interface OutputKind {
  output: string
  right: OutputCriterion
  /** The evidence that decided; for a guess, the evidence that suggests it. */
  evidence: EvidenceKind
  /** The reasoning in words. */
  why: string
  /** Set if the reading is a guess: what the user should configure, and why. */
  doubt?: string
}

/** Class counts of data sets so common that the number is evidence: ImageNet with and without background, and ImageNet-21k. */
const IMAGENET = [1000, 1001, 21841, 21843]
/** More scores than this are rarely classes, but items or words. */
const MOST_CLASSES = 1001

const SCORES = /logit|prob|score|class|softmax|prediction/i
/** Vectors that are compared by distance. Checked before names of scores, for embeddings of classes. */
const EMBEDDINGS = /embed|hidden|feature|pool|latent|repr|encod/i
/** Quantities, whose tolerance depends on their use. Checked before names of scores, for scores of boxes. */
const QUANTITIES =
  /box|point|landmark|coord|pose|offset|delta|depth|mask|vector|regress|value|distance|action|angle|velocity|residual|attention/i
/** Items of which only the first few count. */
const RANKED = /rank|rating|relevan|item|recommend|similar|retriev|match/i
/** Several tags may be true at once. */
const TAGS = /tag|multi_?label|attribute|genre|event/i

const PROBABILITIES = /prob|softmax|sigmoid|confidence/i

/**
 * @param right  the user's option
 * @param hints  of each output, in the order of the signature
 * @throws TypeError, RangeError if `right` is invalid or does not fit the model
 */
export function outputKindsOf(
  outputs: readonly TensorSpec[],
  right?: Right,
  hints: readonly (OutputHints | undefined)[] = [],
): OutputKind[] {
  const { stated, fieldOf } = statedOf(outputs, right)
  return outputs.map((spec, i): OutputKind => {
    const said = Object.hasOwn(stated, spec.name) ? stated[spec.name] : undefined
    const facts = { spec, outputs, field: fieldOf(spec.name), ...hints[i] }
    return said === undefined ? outputKindOf(facts) : saidOf(facts, said)
  })
}

interface OutputFacts extends OutputHints {
  readonly spec: TensorSpec
  readonly outputs: readonly TensorSpec[]
  /** Name of the option `right` for this output, in errors. */
  readonly field: string
}

function statedOf(outputs: readonly TensorSpec[], right: Right | undefined) {
  if (right !== undefined) checkRight('right', right)
  const isNamed = isObject(right) && 'outputs' in right
  const fieldOf = (name: string) => (outputs.length > 1 || isNamed ? `right.outputs.${name}` : 'right')
  const names = outputs.map(({ name }) => name)
  if (right !== undefined && !isNamed && outputs.length > 1) {
    const each = names.map((name) => `${keyOf(name)}: ..`).join(', ')
    throw new RangeError(
      `right: expected { outputs: { ${each} } } for a model of ${names.length} outputs, got ${sayRight(right)}`,
    )
  }
  if (isNamed) checkNames('right.outputs', right.outputs, names)
  const stated = isNamed ? right.outputs : right === undefined ? {} : { [names[0]]: right as RightOutput }
  return { stated, fieldOf }
}

/** The kind that the user's option states. */
function saidOf(facts: OutputFacts, said: RightOutput): OutputKind {
  const { spec, field } = facts
  const { name: output, type } = spec
  const read = (right: OutputCriterion) => outputKind(facts, 'right', right, 'it is said to be')
  if (said === 'equal') return read({ kind: 'equal' })
  if (!isReal(type)) throw new RangeError(expected(field, `'equal' for ${type}`, said))
  if (said === 'labels') return read({ kind: 'labels', threshold: thresholdSaid(facts) })
  if (said === 'label' || (typeof said === 'object' && 'axis' in said)) {
    const right = labelsOf(spec, said === 'label' ? undefined : said.axis)
    if (right) return read(right)
    const what = `output '${output}' of ${type ?? 'float32'} [${shownShape(spec)}]`
    throw new RangeError(`${field}: expected ${choicesFor(spec)} for ${what}, got ${sayRight(said)}`)
  }
  if ('threshold' in said) return read({ kind: 'labels', threshold: said.threshold })
  if ('within' in said) return read({ kind: 'tolerance', tolerance: said.within })
  if ('relative' in said) return read({ kind: 'relative', share: said.relative })
  if (said.top < size(spec)) return read({ kind: 'top', k: said.top })
  throw new RangeError(`${field}.top: expected below the ${size(spec)} values of output '${output}', got ${said.top}`)
}

/** The threshold of 'labels'. The user has to state it if nothing tells whether the values are logits. */
function thresholdSaid({ node, spec, config, field }: OutputFacts): number {
  if (node) return node.op === 'Sigmoid' ? 0.5 : 0
  if (PROBABILITIES.test(spec.name)) return 0.5
  if (config?.problemType || /logit/i.test(spec.name)) return 0
  throw new RangeError(
    `${field}: expected { threshold: x }, .5 for probabilities and 0 for logits, since nothing tells which output '${spec.name}' has, got 'labels'`,
  )
}

/** Applies the evidence in order: a rule that does not apply leaves the decision to the next. */
function outputKindOf(facts: OutputFacts): OutputKind {
  const { spec } = facts
  if (!isReal(spec.type)) return outputKind(facts, 'type', { kind: 'equal' }, `${spec.type} is no real number`)
  if (isOpen(spec)) return outputKind(facts, 'shape', { kind: 'tolerance' }, 'its shape may differ') // nothing is recovered from such outputs
  return byConfig(facts) ?? byGraph(facts) ?? byName(facts)
}

function byConfig(facts: OutputFacts): OutputKind | undefined {
  const { spec, config, node } = facts
  const { problemType, labels = 0, vocabulary = 0 } = config ?? {}
  if (EMBEDDINGS.test(spec.name) || QUANTITIES.test(spec.name)) return undefined // config.json speaks of the classification head alone
  const n = vectorLength(spec)
  const known = (right: OutputCriterion, why: string) => outputKind(facts, 'config', right, why)
  if (problemType === 'regression') return doubted(facts, 'config', 'config.json says regression')
  if (problemType === 'multi_label_classification' && n) {
    const threshold = node?.op === 'Sigmoid' ? 0.5 : 0
    return known({ kind: 'labels', threshold }, 'config.json says multi_label_classification')
  }
  if (problemType === 'single_label_classification' && n && (!labels || labels === n)) {
    return known({ kind: 'label', positions: 1, classes: n }, 'config.json says single_label_classification')
  }
  if (node?.op === 'Sigmoid') return undefined
  // A config has two labels by default, which is no evidence.
  const count = [labels > 2 || n === labels ? labels : 0, vocabulary].find(
    (each) => each > 1 && axesOf(spec, each).length === 1,
  )
  if (!count) return undefined
  const right = labelsOf(spec, axesOf(spec, count)[0])
  return right && known(right, `config.json has ${count} ${count === labels ? 'labels' : 'tokens'}`)
}

const CLASSIFIERS = ['TreeEnsembleClassifier', 'LinearClassifier', 'SVMClassifier', 'ZipMap']
const REGRESSORS = ['TreeEnsembleRegressor', 'LinearRegressor', 'SVMRegressor']
/** Nodes that normalise a vector, which come last in embedding models. */
const EMBEDDERS = ['L2Norm', 'LpNormalization', 'LayerNormalization', 'BatchNormalization', 'InstanceNormalization']
/** Nodes whose values are no scores of classes, but clipped, bounded on both sides, means or distances. */
const MEASURING = [
  ...['Relu', 'Tanh', 'Exp', 'Softplus', 'Sqrt', 'Abs', 'Clip', 'ReduceMean', 'GlobalAveragePool', 'HardSigmoid'],
  ...['Atan', 'NonMaxSuppression', 'TopK'],
]

function byGraph(facts: OutputFacts): OutputKind | undefined {
  const { spec, outputs, node } = facts
  if (!node) return undefined
  const { op, axis } = node
  const n = vectorLength(spec)
  const why = `its last node is ${op}`
  if (QUANTITIES.test(spec.name) && !PROBABILITIES.test(spec.name)) return undefined
  if (op === 'Softmax' || op === 'LogSoftmax') {
    const right = labelsOf(spec, n ? undefined : axis)
    return right && outputKind(facts, 'graph', right, why)
  }
  if (CLASSIFIERS.includes(op) && n) return outputKind(facts, 'graph', { kind: 'label', positions: 1, classes: n }, why)
  if (REGRESSORS.includes(op)) return doubted(facts, 'graph', why)
  if (op === 'Sigmoid') {
    if (n && outputs.length === 1) return outputKind(facts, 'graph', { kind: 'labels', threshold: 0.5 }, why)
    return doubted(facts, 'graph', why, n ? { kind: 'labels', threshold: 0.5 } : undefined)
  }
  if (EMBEDDERS.includes(op)) return outputKind(facts, 'graph', { kind: 'tolerance' }, why)
  if (PROBABILITIES.test(spec.name) || EMBEDDINGS.test(spec.name)) return undefined
  if (MEASURING.includes(op) && !(n && IMAGENET.includes(n))) {
    return doubted(facts, 'graph', why)
  }
  return undefined
}

function byName(facts: OutputFacts): OutputKind {
  const { spec, outputs } = facts
  const { name, shape } = spec
  const n = vectorLength(spec)
  const rows = n && outputs.find((other) => other !== spec && other.shape.length > 1 && other.shape[0] === n)
  if (rows) return doubted(facts, 'shape', `it has as many values as '${rows.name}' has rows`)
  if (EMBEDDINGS.test(name)) return outputKind(facts, 'name', { kind: 'tolerance' }, 'its name says embeddings')
  if (QUANTITIES.test(name)) return doubted(facts, 'name', 'its name says quantities')
  if (!n) {
    if (!lengthsOf(spec).length) return doubted(facts, 'shape', 'it is one value')
    return doubted(facts, 'shape', `nothing tells which axis of [${shape}] is of classes`)
  }
  const label = { kind: 'label', positions: 1, classes: n } as const
  if (RANKED.test(name)) return doubted(facts, 'name', 'its name says a ranking', label)
  if (TAGS.test(name)) return doubted(facts, 'name', 'its name says tags', label)
  if (IMAGENET.includes(n)) return outputKind(facts, 'shape', label, `ImageNet has ${n} classes`)
  if (!SCORES.test(name)) return doubted(facts, 'shape', 'nothing tells what its values are', label)
  if (n > MOST_CLASSES) return doubted(facts, 'name', `${n} values may be a ranking, or words`, label)
  return outputKind(facts, 'name', label, 'its name says scores of classes')
}

function outputKind({ spec }: OutputFacts, evidence: EvidenceKind, right: OutputCriterion, why: string): OutputKind {
  return { output: spec.name, right, evidence, why }
}

/** What the option may be for an output: the beginning of an error's sentence. */
export function choicesOf(spec: TensorSpec, field: string): string {
  return `${field}: expected ${choicesFor(spec)} for output '${spec.name}' of [${shownShape(spec)}]`
}

function choicesFor(spec: TensorSpec): string {
  const any = "'labels', { within: x } or { relative: x }"
  if (isOpen(spec)) return "'equal', { within: x } or { relative: x }"
  if (vectorLength(spec)) return `'label', { top: k }, ${any}`
  return lengthsOf(spec).length ? `{ axis: n } of the classes, ${any}` : any
}

/** A guess, with a sentence that tells the user what to configure. */
function doubted(
  facts: OutputFacts,
  evidence: EvidenceKind,
  why: string,
  right: OutputCriterion = { kind: 'tolerance' },
): OutputKind {
  const guess = outputKind(facts, evidence, right, why)
  return { ...guess, doubt: `${choicesOf(facts.spec, facts.field)}, got none: ${why}` }
}

const lengthsOf = ({ shape }: TensorSpec) => shape.filter((n) => n > 1)

/** Number of values of a vector; undefined if the output is no vector. */
function vectorLength(spec: TensorSpec): number | undefined {
  const lengths = lengthsOf(spec)
  return lengths.length === 1 ? lengths[0] : undefined
}

/** The axes that have this length. */
const axesOf = ({ shape }: TensorSpec, length: number) => shape.flatMap((n, axis) => (n === length ? [axis] : []))

/** @param axis  of the classes, negative from the end; default: the last axis that is longer than 1 */
function labelsOf(spec: TensorSpec, axis = spec.shape.findLastIndex((n) => n > 1)): OutputCriterion | undefined {
  const { shape } = spec
  const at = axis < 0 ? shape.length + axis : axis
  const classes = shape[at]
  if (isOpen(spec) || !(classes > 1)) return undefined
  const step = size({ shape: shape.slice(at + 1) })
  return { kind: 'label', positions: size(spec) / classes, classes, ...(step > 1 && { step }) }
}

/** What the user should configure for outputs whose kind is a guess. */
export const doubtsOf = (kinds: readonly OutputKind[]): string[] => kinds.flatMap(({ doubt }) => doubt ?? [])

/** Describes when an output is right. */
export function sayCriterion(right: OutputCriterion): string {
  switch (right.kind) {
    case 'label':
      return `its largest value is the model’s${right.positions > 1 ? `, of ${right.classes} at each of ${right.positions} positions` : ''}`
    case 'labels':
      return `the same of its values are above ${right.threshold}`
    case 'top':
      return `its first ${right.k} are the model’s, in their order`
    case 'tolerance':
      return right.tolerance === undefined ? 'it is within a tenth of its deviation' : `it is within ${right.tolerance}`
    case 'relative':
      return `each value is within ${right.share} of the model’s`
    case 'equal':
      return 'it is equal'
  }
}

/** Writes the option as JavaScript. */
export function sayRight(right: Right): string {
  if (typeof right === 'string') return `'${right}'`
  const [[name, value]] = Object.entries(right)
  if (typeof value !== 'object') return `{ ${name}: ${value} }`
  const each = Object.entries(value as Record<string, RightOutput>).map(
    ([key, one]) => `${keyOf(key)}: ${sayRight(one)}`,
  )
  return `{ outputs: { ${each.join(', ')} } }`
}

const keyOf = (name: string) => (/^[a-z_]\w*$/i.test(name) ? name : JSON.stringify(name))

const ABOVE_0 = (field: string, value: unknown) => {
  if (typeof value === 'number' && value > 0 && value < Number.MAX_VALUE) return value
  throw new RangeError(expected(field, 'a number above 0', value))
}
const whole = (least: number) => (field: string, value: unknown) => {
  if (Number.isInteger(value) && (value as number) >= least) return value
  throw new RangeError(expected(field, least > 0 ? `an integer >= ${least}` : 'an integer', value))
}
const MEASURES: Readonly<Record<string, (field: string, value: unknown) => unknown>> = {
  axis: whole(Number.MIN_SAFE_INTEGER),
  threshold: (field, value) => checkNumber(field, value, -Number.MAX_VALUE, Number.MAX_VALUE),
  top: whole(1),
  within: ABOVE_0,
  relative: ABOVE_0,
}
const WORDS = ['label', 'labels', 'equal']
const FORMS = "'label', 'labels', 'equal', { axis: n }, { threshold: x }, { top: k }, { within: x } or { relative: x }"

/** @throws TypeError, RangeError naming the field */
export function checkRight(field: string, value: unknown): Right {
  if (!isObject(value) || !('outputs' in value)) return checkRightOutput(field, value)
  checkNames(field, value, ['outputs'])
  const outputs = Object.entries(checkObject(`${field}.outputs`, value.outputs, 'an object of outputs'))
  for (const [name, right] of outputs) checkRightOutput(`${field}.outputs.${name}`, right)
  return value as Right
}

function checkRightOutput(field: string, value: unknown): RightOutput {
  if (WORDS.includes(value as string)) return value as RightOutput
  const names = isObject(value) ? Object.keys(value) : []
  if (names.length) checkNames(field, value, Object.keys(MEASURES))
  if (names.length !== 1) throw new TypeError(expected(field, FORMS, value))
  MEASURES[names[0]](`${field}.${names[0]}`, (value as Record<string, unknown>)[names[0]])
  return value as RightOutput
}
