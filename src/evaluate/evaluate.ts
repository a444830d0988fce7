/** How much accuracy coding costs on a user's own model and data. In process, no workers, no time. */

import type { Codec, CodedRow, Group } from '../codec/codec'
import { type Criterion, type CriterionOptions, criterionOf, labelAt } from '../criterion'
import { checkInteger, checkNames } from '../errors'
import { Experience } from '../history/experience'
import { type Features, Memory, type Recollection } from '../history/memory'
import { checkPolicy, defaultPolicy, type Policy, type Surest, surestOf } from '../history/worth'
import { type Random, seeded } from '../random'
import { isSure } from '../serving/decision'
import { rowLength, type Signature } from '../tensor'
import { type Attack, parseAttack } from '../workers/attacks'
import { groupsOf, survivorSets } from './draws'
import { guessLost, replicationWorkers } from './rivals'
import {
  type Bin,
  brierSkill,
  calibrationError,
  type Interval,
  mean,
  reliability,
  type Stated,
  shareCi95,
} from './statistics'

/** Anything that runs rows of a model in batches; `OnnxModel` does. */
export interface BatchModel {
  readonly signature: Signature
  /** `count` rows one after the other -> their output rows one after the other. */
  infer(rows: Float32Array, count: number): Promise<Float32Array>
}

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

/** Accuracies in 0..1: shares of answers with the right label; without labels, that agree with the model's own. */
export interface Evaluation {
  /** How far an answer may be off to agree, where there are no labels. */
  tolerance?: number
  /** Inputs that were remembered. */
  memory: number
  policy: Policy
  accuracy: {
    /** The model alone, on all inputs. */
    base: number
    /** All K queries, with S random results missing and E wrong, under the policy. */
    all: number
    /** 95 % confidence interval over groups. */
    allCi95: Interval
    /** Only queries whose own answer was lost, as if all recovered ones were given; undefined where nothing was lost. */
    recovered?: number
    recoveredCi95?: Interval
    /** Share of those that were answered by a copy, exactly. */
    copied: number
    /** Decoded from all N results. */
    nothingMissing: number
    /** The survivor set with the lowest accuracy; undefined where none was tried. */
    worstSet?: number
  }
  /** Inferences on top of N / K, by the policy. */
  retriesPerQuery: number
  /** What recovered answers say of their own worth; with the systematic code, byzantine 0. Agreement is with the model. */
  confidence?: {
    /** Recovered answers after the first `learn` groups. */
    tested: number
    agreement: number
    brierSkill: number
    calibrationError: number
    bins: Bin[]
    /** Those with at least `minConfidence`. */
    sure: { share: number; agreement?: number }
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
    /** Lost queries from memory alone, without any redundancy; only with a memory. */
    memoryAlone?: { accuracy: number; ci95: Interval }
    /** Lost queries from ParM's parity, the sum of the queries, through the model itself; only with S = 1, E = 0. */
    sumParity?: { accuracy: number; ci95: Interval }
  }
  /** One figure per group, to compare runs in pairs: all queries; and with what is lost guessed instead. */
  groups: { all: number[]; guess: number[] }
}

/** Rows sent through the model at a time. */
const BATCH = 64

/**
 * Groups of K random inputs, each coded, answered, robbed of S random results, and decoded. The same seed draws the
 * same groups and losses for every codec with the same K and N, so that their figures can be compared in pairs.
 *
 * @throws RangeError for inputs or labels that do not fit, and for options out of range
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const { model, codec, inputs, labels, onProgress, minConfidence = 0.9 } = options
  const { groups, learn, seed, criterion, policy, memory: warming } = settingsOf(options)
  const [drawing, losing, lying] = [seeded(seed), seeded(seed + 0x51ed270b), seeded(seed + 0x2c1b3c6d)]
  const attack = parseAttack(options.attack ?? 'gauss:10')
  const own = await answersOf(model, inputs)
  const shuffled = drawing.choose(inputs.length, inputs.length)
  const warm = shuffled.slice(0, warming)
  const experience = experienceOf(options, criterion, own, warm)
  const agrees = (answer: Float32Array, i: number) => experience.agrees(answer, own[i]) === true
  const right = (answer: Float32Array, i: number) =>
    Number(labels && criterion.kind === 'label' ? labelAt(answer, criterion) === labels[i] : agrees(answer, i))
  const chance = criterion.kind === 'label' && criterion.positions === 1 ? 1 / criterion.classes : 0
  const base = mean(own.map((answer, i) => right(answer, i)))
  const { queries: K, workers: N, stragglers: S, byzantine: E } = codec.scheme
  const systematic = codec.code === 'systematic'
  const nextGroup = groupsOf(K, options.grouping ?? 'random', codec.core, inputs, shuffled.slice(warm.length), drawing)
  const sets = survivorSets(N, S, checkInteger('sets', options.sets ?? 200, 0), losing)
  const rivals = await rivalsFor(options, experience, own)
  const score = emptyScores(sets.length)

  for (let done = 0; done < groups; done++) {
    const chosen = nextGroup()
    const group = codec.open()
    for (const i of chosen) group.join(inputs[i])
    const remembered = new Map<number, Recollection>()
    const recall = (query: number) => {
      const recollection = remembered.get(query) ?? experience.recall(inputs[chosen[query]])
      if (recollection) remembered.set(query, recollection)
      return recollection
    }
    const copied = systematic ? experience.copies([...chosen.keys()].map(recall), N - K) : undefined
    const rows = [...group.ready, ...group.close(copied)]
    const parities = rows.filter(({ query }) => query === undefined).map(({ data }) => data)
    const coded = await answersOf(model, parities)
    const honest = rows.map(({ query }) => (query === undefined ? (coded.shift() as Float32Array) : own[chosen[query]]))
    const gone = losing.choose(N, S)
    const have = [...rows.keys()].filter((i) => !gone.includes(i))
    const liars = losing.choose(have.length, E).map((at) => have[at])
    const answers = withLies(honest, liars, attack, lying)
    /** The surest recovery of each missing query, and all that were made. */
    const recoveries = () => {
      const missing = group.missing().length
      return group.recover().map((decoded) => {
        const { query } = decoded
        const about = { mixed: group.mixes(query), missing }
        return { query, ...surestOf([decoded], recall(query), about, experience) }
      })
    }
    const accuracy = (set: readonly number[]) => {
      decode(group, rows, set, answers)
      const hits = chosen.map((i, query) => right(group.exact(query) ?? own[i], i))
      for (const { query, recovery } of recoveries()) hits[query] = recovery ? right(recovery.answer, chosen[query]) : 0
      return mean(hits)
    }

    const suspects = decode(group, rows, have, answers)
    const survivors = group.survivors
    const recovered = recoveries()
    const lost: number[] = []
    const hits = chosen.map((i, query) => right(group.exact(query) ?? own[i], i)) // the recovered ones follow
    for (const { query, recovery, confidence } of recovered) {
      const i = chosen[query]
      const hit = recovery ? right(recovery.answer, i) : 0
      const given = isSure(policy, minConfidence, confidence)
      hits[query] = given ? hit : right(own[i], i)
      score.given.push(Number(given))
      lost.push(hit)
      if (done < learn || !recovery || confidence === undefined) continue
      score.stated.push({ confidence, right: agrees(recovery.answer, i) })
    }
    for (const query of systematic ? gone.filter((row) => row < K) : []) {
      if (group.exact(query)) lost.push(right(own[chosen[query]], chosen[query])) // a copy of it came
    }
    score.copied += lost.length - recovered.length
    // Where the code recovers every answer, those of a group are one draw and not K.
    if (lost.length) score.lost.push(...(systematic ? lost : [mean(lost)]))
    score.all.push(mean(hits))
    score.guess.push(mean(chosen.map((i, query) => (gone.includes(query) ? chance : right(own[i], i)))))
    Array.from(group.lessons(criterion)) // at once: nobody waits
    if (done < learn && systematic && !E) grade(experience, group, recovered, rows, survivors, honest)
    for (const [name, rival] of Object.entries(rivals)) {
      const query = losing.below(K)
      score.rivals[name] ??= []
      score.rivals[name].push(right(await rival(chosen, query), chosen[query]))
    }
    score.whole.push(accuracy([...rows.keys()]))
    sets.forEach((set, i) => {
      score.sets[i] += accuracy(set)
    })
    if (E) {
      const caught = suspects.filter((row) => liars.includes(row)).length
      score.found.push(caught / E)
      score.exact.push(Number(caught === E && suspects.length === E))
      score.alarm.push(Number(decode(group, rows, have, honest).length > 0))
    }
    onProgress?.(done + 1, groups)
  }
  const measured = { tolerance: experience.tolerance, memory: warm.length, policy }
  return { ...measured, ...summary(score, base, options, chance) }
}

interface Scores {
  /** One per group. */
  all: number[]
  guess: number[]
  whole: number[]
  /** One per recovered answer, or per group. */
  lost: number[]
  given: number[]
  stated: Stated[]
  copied: number
  /** Summed over groups. */
  sets: number[]
  exact: number[]
  found: number[]
  alarm: number[]
  rivals: Record<string, number[]>
}

function emptyScores(sets: number): Scores {
  return {
    all: [],
    guess: [],
    whole: [],
    lost: [],
    given: [],
    stated: [],
    copied: 0,
    sets: new Array(sets).fill(0),
    exact: [],
    found: [],
    alarm: [],
    rivals: {},
  }
}

/** The lost answers come late and tell what recovered ones are worth. */
function grade(
  experience: Experience,
  group: Group,
  recovered: readonly ({ query: number } & Partial<Surest>)[],
  rows: readonly CodedRow[],
  survivors: readonly number[],
  honest: readonly Float32Array[],
): void {
  for (const { query, all = [] } of recovered) {
    group.add(rows[query], honest[query])
    for (const recovery of all) experience.grade(recovery, honest[query])
  }
  const lost = recovered.map(({ query }) => query)
  for (const others of group.rehearse(lost, survivors)) {
    for (const other of others) experience.rehearse(other, honest[other.query])
  }
}

function summary(
  score: Scores,
  base: number,
  options: EvaluateOptions,
  chance: number,
): Omit<Evaluation, 'tolerance' | 'memory' | 'policy'> {
  const { scheme } = options.codec
  const { minConfidence = 0.9 } = options
  const sure = score.stated.filter(({ confidence }) => confidence >= minConfidence)
  const share = (hits: number[]) => ({ accuracy: mean(hits), ci95: shareCi95(hits) })
  const rivals = Object.entries(score.rivals).map(([name, hits]) => [name, share(hits)])
  return {
    accuracy: {
      base,
      all: mean(score.all),
      allCi95: shareCi95(score.all),
      recovered: score.lost.length ? mean(score.lost) : undefined,
      recoveredCi95: score.lost.length ? shareCi95(score.lost) : undefined,
      copied: score.copied / Math.max(1, score.lost.length),
      nothingMissing: mean(score.whole),
      worstSet: score.sets.length ? Math.min(...score.sets) / score.all.length : undefined,
    },
    retriesPerQuery: score.given.filter((given) => !given).length / (score.all.length * scheme.queries),
    ...(score.stated.length && {
      confidence: {
        tested: score.stated.length,
        agreement: mean(score.stated.map((each) => Number(each.right))),
        brierSkill: brierSkill(score.stated),
        calibrationError: calibrationError(reliability(score.stated)),
        bins: reliability(score.stated),
        sure: {
          share: sure.length / score.stated.length,
          agreement: sure.length ? mean(sure.map((each) => Number(each.right))) : undefined,
        },
      },
    }),
    ...(scheme.byzantine && {
      locator: { exactSet: mean(score.exact), found: mean(score.found), falseAlarm: mean(score.alarm) },
    }),
    rivals: {
      replicationWorkers: replicationWorkers(scheme),
      guessLost: guessLost(base, scheme, chance),
      ...Object.fromEntries(rivals),
    },
    groups: { all: score.all, guess: score.guess },
  }
}

/** What a predictor would have learned from the model's own answers to the inputs `warm`, with room for all of them. */
function experienceOf(
  { codec, model, inputs, features }: EvaluateOptions,
  criterion: Criterion,
  own: readonly Float32Array[],
  warm: readonly number[],
): Experience {
  const { signature } = model
  const shape = signature.inputs.length === 1 ? signature.inputs[0].shape : [rowLength(signature.inputs)]
  const sizes = { shape, outputs: rowLength(signature.outputs) }
  const remembers = warm.length > 0 && Memory.fits(sizes)
  const experience = new Experience(codec.core, signature, {
    criterion,
    kernels: codec.kernels,
    memory: remembers && { features, bytes: Memory.bytes(sizes, warm.length) },
    warn(text) {
      throw new TypeError(text)
    },
  })
  for (const answer of own) experience.see(answer)
  for (const i of warm) Array.from(experience.teach(inputs[i], own[i])) // at once: nobody waits
  experience.settle()
  return experience
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

/** The model's answers to rows, in batches. */
export async function answersOf(model: BatchModel, rows: readonly Float32Array[]): Promise<Float32Array[]> {
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

/** Rivals to measure: each answers query `lost` of a group, none of whose workers is late but that one's. */
async function rivalsFor(
  { codec, model, inputs }: EvaluateOptions,
  experience: Experience,
  own: readonly Float32Array[],
): Promise<Record<string, (chosen: readonly number[], lost: number) => Promise<Float32Array> | Float32Array>> {
  const { stragglers, byzantine } = codec.scheme
  const memoryAlone = (chosen: readonly number[], lost: number) =>
    experience.recall(inputs[chosen[lost]])?.answer ?? own[0]
  const sumParity = async (chosen: readonly number[], lost: number) => {
    const queries = chosen.map((i) => inputs[i])
    const [sum] = await answersOf(model, codec.core.combine(new Float32Array(queries.length).fill(1), queries))
    return sum.map((value, c) => chosen.reduce((rest, i, query) => (query === lost ? rest : rest - own[i][c]), value))
  }
  return {
    ...(experience.memory === 'warm' && { memoryAlone }),
    ...(codec.code === 'systematic' && stragglers === 1 && !byzantine && { sumParity }),
  }
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
  const criterion = criterionOf(model.signature.outputs, options)
  checkInputs(inputs, rowLength(model.signature.inputs), queries + memory)
  if (labels) checkLabels(labels, inputs.length, criterion)
  return { groups, learn, seed, criterion, policy, memory }
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
