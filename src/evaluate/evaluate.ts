/** How much accuracy coding costs on a user's own model and data. In process, no workers, no time. */

import { Codec, type CodedRow, type Group } from '../codec/codec'
import { Likeness } from '../codec/likeness'
import { checkInteger } from '../errors'
import { Memory } from '../history/memory'
import { patchFeatures } from '../history/patches'
import { type Random, seeded } from '../random'
import { rowLength, type Signature, size } from '../tensor'
import { type Attack, parseAttack } from '../workers/attacks'
import { guessLost, replicationWorkers } from './rivals'

/** Anything that runs rows of a model in batches; `OnnxModel` does. */
export interface BatchModel {
  readonly signature: Signature
  /** `count` rows one after the other -> their output rows one after the other. */
  infer(rows: Float32Array, count: number): Promise<Float32Array>
}

export interface EvaluateOptions {
  model: BatchModel
  codec: Codec
  /** One row per query, as long as the model's inputs together. */
  inputs: readonly Float32Array[]
  /** The right class of each query: the index of the largest value in the first output. */
  labels: ArrayLike<number>
  /** Default 500. */
  groups?: number
  /** Default 1. */
  seed?: number
  /** How `byzantine` workers lie; see `attackForms`. Default 'gauss:10'. */
  attack?: string
  /** How many inputs, in random order, are remembered with the model's answers; groups come from the rest. Default 0. */
  memory?: number
  /** 'random', or 'likeness:P': pools of P groups, ordered by likeness and cut. Default 'random'. */
  grouping?: string
  /** How the memory compares queries. Default: patches for images with 3 channels, else raw. */
  features?: Features
  /** Told after each group. */
  onProgress?: (done: number, total: number) => void
}

/** `raw`: as they are. `patches`: see `patchFeatures`; one input of shape [channels, height, width]. */
export type Features = 'raw' | 'patches'

export const featureNames: readonly Features[] = ['raw', 'patches']

/** Accuracies in 0..1. */
export interface Evaluation {
  accuracy: {
    /** The model alone, on all inputs. */
    base: number
    /** All K queries, with S random results missing and E wrong. */
    all: number
    /** 95 % confidence interval over groups. */
    allCi95: [low: number, high: number]
    /** Only queries whose own answer was lost; with a code that recovers every answer, equal to `all`. */
    recovered: number
    recoveredCi95: [low: number, high: number]
    /** Decoded from all N results. */
    nothingMissing: number
    /** The survivor set with the lowest accuracy, of all or of 200 at random. */
    worstSet: number
  }
  /** Only with byzantine > 0. */
  locator?: {
    /** Share of groups in which exactly the liars were found. */
    exactSet: number
    /** Share of liars found. */
    found: number
    /** Share of groups without a liar in which somebody was accused. */
    falseAlarm: number
  }
  rivals: {
    replicationWorkers: number
    /** Accuracy of not coding at all and guessing what is lost. */
    guessLost: number
    /** Accuracy on lost queries of memory alone, without any redundancy; only with a memory. */
    memoryAlone?: number
  }
}

/** Rows sent through the model at a time. */
const BATCH = 64
const MOST_SETS = 200

/**
 * Groups of K random inputs, each coded, answered, robbed of S random results, and decoded.
 *
 * @throws RangeError for inputs or labels that do not fit, and for options out of range
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const { model, codec, inputs, labels, onProgress } = options
  const groups = checkInteger('groups', options.groups ?? 500, 1)
  const random = seeded(checkInteger('seed', options.seed ?? 1, 0))
  const attack = parseAttack(options.attack ?? 'gauss:10')
  checkInputs(options)
  const classes = size(model.signature.outputs[0])
  const right = (answer: Float32Array, label: number) => Number(argmax(answer.subarray(0, classes)) === label)
  const own = await answersOf(model, inputs)
  const base = mean(own.map((answer, i) => right(answer, labels[i])))
  const { workers: N, stragglers: S, byzantine: E } = codec.scheme
  const sets = survivorSets(N, S, random)
  const systematic = codec.code === 'systematic'
  const score: Scores = {
    all: [],
    lost: [],
    whole: [],
    sets: sets.map(() => 0),
    exact: [],
    found: [],
    alarm: [],
    alone: [],
  }

  const shuffled = random.choose(inputs.length, inputs.length)
  const warm = shuffled.slice(0, options.memory ?? 0)
  const rest = shuffled.slice(warm.length)
  const memory = remember(options, own, warm)
  const nextGroup = grouper(options, rest, random)
  const alone = memory && new Codec(codec.core, { queries: 1, code: 'systematic' })

  for (let done = 0; done < groups; done++) {
    const chosen = nextGroup()
    const group = codec.open()
    for (const i of chosen) group.join(inputs[i])
    const rows = [...group.ready, ...group.close()]
    const honest = await answersOf(
      model,
      rows.map((row) => row.data),
    )
    const accuracy = (have: readonly number[], answers: readonly Float32Array[]) => {
      const suspects = decode(group, rows, have, answers)
      const decoded = group.answers(memory)
      const hits = decoded.map(({ query, answer }) => right(answer, labels[chosen[query]]))
      return { hits: mean(hits), lost: hits.filter((_, query) => !decoded[query].exact), suspects }
    }
    const have = random.choose(N, N - S).sort((a, b) => a - b)
    const liars = random.choose(have.length, E).map((at) => have[at])
    const answers = withLies(honest, liars, attack, random)
    const { hits, lost, suspects } = accuracy(have, answers)
    score.all.push(hits)
    score.lost.push(...(systematic ? lost : [hits]))
    score.whole.push(accuracy([...rows.keys()], answers).hits)
    if (alone) {
      const lone = alone.open()
      lone.join(inputs[chosen[0]])
      lone.close()
      score.alone.push(right(lone.recover(memory)[0].answer, labels[chosen[0]]))
    }
    sets.forEach((set, i) => {
      score.sets[i] += accuracy(set, answers).hits
    })
    if (E) {
      const caught = suspects.filter((row) => liars.includes(row)).length
      score.found.push(caught / E)
      score.exact.push(Number(caught === E && suspects.length === E))
      score.alarm.push(Number(decode(group, rows, have, honest).length > 0))
    }
    onProgress?.(done + 1, groups)
  }
  return summary(score, base, codec, classes)
}

interface Scores {
  /** One per group. */
  all: number[]
  /** One per lost query; one per group where the code recovers every answer. */
  lost: number[]
  whole: number[]
  sets: number[]
  exact: number[]
  found: number[]
  alarm: number[]
  alone: number[]
}

function summary(score: Scores, base: number, codec: Codec, classes: number): Evaluation {
  return {
    accuracy: {
      base,
      all: mean(score.all),
      allCi95: ci95(score.all),
      recovered: mean(score.lost),
      recoveredCi95: ci95(score.lost),
      nothingMissing: mean(score.whole),
      worstSet: Math.min(...score.sets) / score.all.length,
    },
    ...(codec.scheme.byzantine && {
      locator: { exactSet: mean(score.exact), found: mean(score.found), falseAlarm: mean(score.alarm) },
    }),
    rivals: {
      replicationWorkers: replicationWorkers(codec.scheme),
      guessLost: guessLost(base, codec.scheme, classes),
      ...(score.alone.length && { memoryAlone: mean(score.alone) }),
    },
  }
}

/** Draws groups of K inputs. */
function grouper(
  { codec, inputs, grouping = 'random' }: EvaluateOptions,
  from: readonly number[],
  random: Random,
): () => number[] {
  const K = codec.scheme.queries
  const pool = grouping === 'random' ? 1 : Number(/^likeness:([1-9]\d*)$/.exec(grouping)?.[1])
  if (!pool || pool * K > from.length) {
    const most = Math.floor(from.length / K)
    throw new RangeError(`grouping: expected random or likeness:P with P up to ${most}, got ${grouping}`)
  }
  const likeness = new Likeness(codec.core, inputs[0].length, pool * K)
  const drawn: number[][] = []
  return () => {
    if (!drawn.length) {
      const chosen = random.choose(from.length, pool * K).map((i) => from[i])
      const path = pool === 1 ? chosen : likeness.order(chosen.map((i) => inputs[i])).map((i) => chosen[i])
      for (let at = 0; at < path.length; at += K) drawn.push(path.slice(at, at + K))
    }
    return drawn.shift() as number[]
  }
}

/** A memory of some of the inputs; none where there are none. */
function remember(
  { codec, model, inputs, features }: EvaluateOptions,
  answers: readonly Float32Array[],
  which: readonly number[],
): Memory | undefined {
  if (!which.length) return undefined
  const { shape } = model.signature.inputs[0]
  const images = features ?? (shape.length === 3 && shape[0] === 3 ? 'patches' : 'raw')
  const samples = which.slice(0, 1000).map((i) => inputs[i])
  const [length, outputs] = [inputs[0].length, answers[0].length]
  const compare = images === 'patches' ? patchFeatures(codec.core, { shape, samples }) : undefined
  const width = compare ? compare(inputs[0]).length : length
  const bytes = 4 * which.length * (width + outputs)
  const memory = new Memory(codec.core, { inputs: length, outputs, bytes, features: compare })
  for (const i of which) memory.remember(inputs[i], answers[i])
  return memory
}

/** Feeds the group with the answers of `have` and drops whom it suspects: their rows. */
function decode(
  group: Group,
  rows: readonly CodedRow[],
  have: readonly number[],
  answers: readonly Float32Array[],
): number[] {
  group.forget()
  for (const i of have) group.add(rows[i], answers[i])
  return group.locate().map(({ row }) => row.index)
}

function withLies(
  honest: readonly Float32Array[],
  liars: readonly number[],
  attack: Attack,
  random: Random,
): readonly Float32Array[] {
  if (!liars.length) return honest
  const answers = honest.slice()
  attack(
    liars.map((i) => honest[i]),
    random,
  ).forEach((lie, at) => {
    answers[liars[at]] = lie
  })
  return answers
}

async function answersOf(model: BatchModel, rows: readonly Float32Array[]): Promise<Float32Array[]> {
  const answers: Float32Array[] = []
  const width = rowLength(model.signature.outputs)
  for (let from = 0; from < rows.length; from += BATCH) {
    const part = rows.slice(from, from + BATCH)
    const flat = new Float32Array(part.length * part[0].length)
    part.forEach((row, i) => {
      flat.set(row, i * row.length)
    })
    const out = await model.infer(flat, part.length)
    for (let i = 0; i < part.length; i++) answers.push(out.slice(i * width, (i + 1) * width))
  }
  return answers
}

/** All sets of N - S survivors if there are at most 200, else 200 at random. */
function survivorSets(N: number, S: number, random: Random): number[][] {
  const missing = combinations(N, S, MOST_SETS + 1)
  const sets = missing.length > MOST_SETS ? Array.from({ length: MOST_SETS }, () => random.choose(N, S)) : missing
  return sets.map((gone) => Array.from({ length: N }, (_, i) => i).filter((i) => !gone.includes(i)))
}

/** Subsets of `size` out of 0 .. n-1, at most `most` of them. */
function combinations(n: number, size: number, most: number): number[][] {
  if (size === 0) return [[]]
  const found: number[][] = []
  for (let last = size - 1; last < n && found.length < most; last++) {
    for (const rest of combinations(last, size - 1, most)) found.push([...rest, last])
  }
  return found.slice(0, most)
}

function checkInputs({ model, codec, inputs, labels, memory = 0 }: EvaluateOptions): void {
  const { queries } = codec.scheme
  const length = rowLength(model.signature.inputs)
  const needed = queries + checkInteger('memory', memory, 0)
  if (inputs.length < needed)
    throw new RangeError(`inputs: expected >= ${needed} (queries, memory), got ${inputs.length}`)
  if (labels.length !== inputs.length) {
    throw new RangeError(`labels: expected ${inputs.length}, one per input, got ${labels.length}`)
  }
  const classes = size(model.signature.outputs[0])
  const label = Array.from(labels).find((each) => !Number.isInteger(each) || each < 0 || each >= classes)
  if (label !== undefined) throw new RangeError(`labels: expected classes 0 to ${classes - 1}, got ${label}`)
  const odd = inputs.findIndex((row) => row.length !== length)
  if (odd >= 0) throw new RangeError(`inputs[${odd}]: expected ${length} values, got ${inputs[odd].length}`)
  const bad = inputs.findIndex((row) => !row.every(Number.isFinite))
  if (bad >= 0) {
    const at = inputs[bad].findIndex((value) => !Number.isFinite(value))
    throw new RangeError(`inputs[${bad}]: expected finite values, got ${inputs[bad][at]} at ${at}`)
  }
}

export function argmax(values: ArrayLike<number>): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i
  return best
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function ci95(values: readonly number[]): [number, number] {
  const centre = mean(values)
  const variance = mean(values.map((value) => (value - centre) ** 2)) * (values.length / Math.max(1, values.length - 1))
  const half = 1.96 * Math.sqrt(variance / values.length)
  return [Math.max(0, centre - half), Math.min(1, centre + half)]
}
