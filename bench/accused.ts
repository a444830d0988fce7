/**
 * The paper's code with a test that may accuse nobody, K = 8, E = 1, 18 workers, real models: whom it accuses where nobody lies,
 * after 5,000 honest groups, and how soon a liar is found who lies in every group. In process, without time.
 */

import { Codec, type CodedRow, type Group } from '../src/codec/codec'
import { loadCore } from '../src/core/core'
import { labelAt } from '../src/criterion'
import { withLies } from '../src/evaluate/draws'
import { answersOf } from '../src/evaluate/model'
import { type Random, seeded } from '../src/random'
import { parseAttack } from '../src/testing/attacks'
import { Scores } from '../src/trust/scores'
import type { ModelName } from './accuracy'
import { dataOf, modelOf } from './latency-run'

const SCHEME = { queries: 8, byzantine: 1, code: 'berrut' } as const
const HISTORY = 5000
const HONEST = 10_000
/** Groups over which evidence adds up, and how often a liar begins. */
const SPAN = 10
const LIARS = 300
const FALSE_ALARMS = 0.01
export const ALWAYS = ['gauss:10', 'flip', 'constant', 'swap'] as const

export interface Accused {
  /** Honest groups, those of them in which an answer was unusual, and spans of ten in which a worker was suspected. */
  honest: number
  alarms: number
  suspectedSpans: number
  /**
   * Recovered answers with the model's own label: where the unusual is dropped at once, with nobody dropped, as where others are asked
   * first, and as published.
   */
  right: { atOnce: number; all: number; published: number }
  queries: number
  /** By attack: liars, those whose first lie was dropped, and those who were suspected within ten groups. */
  liars: Record<string, { count: number; first: number; suspected: number }>
}

/** The scores of a group's rows, by row; none of them says who. */
type RowScores = { row: number; score: number }[]

interface Answered {
  group: Group
  rows: readonly CodedRow[]
  queries: Float32Array[]
  /** The model's answers to the queries, and to the rows. */
  own: Float32Array[]
  answers: Float32Array[]
}

export async function accusations(model: ModelName): Promise<Accused> {
  const random = seeded(1)
  const codec = new Codec(await loadCore(), SCHEME)
  const honest: RowScores[] = []
  const right = { atOnce: 0, all: 0, published: 0 }
  const live = new Scores(FALSE_ALARMS)
  let [alarms, spans, suspectedIn] = [0, 0, -1]
  const last: Answered[] = []
  for (let n = 0; n < HISTORY + HONEST; n++) {
    const answered = await askAll(model, codec, random)
    const scores = scoresOf(answered.group)
    honest.push(scores)
    const { unusual, suspects } = live.see(withWorkers(scores, workersOf(random)))
    for (const worker of suspects) live.clear(worker)
    if (n < HISTORY) continue
    if (unusual.length) alarms++
    const span = Math.floor((n - HISTORY) / SPAN)
    if (suspects.length && span !== suspectedIn) {
      suspectedIn = span
      spans++
    }
    const all = rightOf(answered)
    answered.group.drop(answered.rows[scores[0].row])
    const published = rightOf(answered)
    right.all += all
    right.published += published
    right.atOnce += unusual.length ? published : all
    last.push(answered)
    if (last.length > SPAN * LIARS) last.shift()
  }
  const liars: Accused['liars'] = {}
  for (const attack of ALWAYS) liars[attack] = caught(codec, honest.slice(0, HISTORY), last, attack, random)
  return { honest: HONEST, alarms, suspectedSpans: spans, right, queries: HONEST * SCHEME.queries, liars }
}

/** A group of queries at random, and the model's answers to its rows. */
async function askAll(name: ModelName, codec: Codec, random: Random): Promise<Answered> {
  const [data, model] = [await dataOf(name), await modelOf(name)]
  const chosen = random.choose(data.inputs.length, SCHEME.queries)
  const queries = chosen.map((i) => data.inputs[i])
  const { group, rows } = coded(codec, queries)
  const answers = await answersOf(model, rows.map(({ data }) => data)) // biome-ignore format: one line
  add(group, rows, answers)
  return { group, rows, queries, own: chosen.map((i) => data.answers[i]), answers }
}

function coded(codec: Codec, queries: readonly Float32Array[]): Pick<Answered, 'group' | 'rows'> {
  const group = codec.open()
  for (const query of queries) group.join(query)
  return { group, rows: group.close() }
}

function add(group: Group, rows: readonly CodedRow[], answers: readonly Float32Array[]): void {
  rows.forEach((row, i) => {
    group.add(row, answers[i])
  })
}

const scoresOf = (group: Group): RowScores => group.scores().map(({ row, score }) => ({ row: row.index, score }))

/** Which worker answers which row: another one in every group. */
const workersOf = (random: Random) => random.choose(18, 18)

const withWorkers = (scores: RowScores, workers: readonly number[], liar?: string) =>
  scores.map(({ row, score }) => ({ row, score, worker: liar && !workers[row] ? liar : `w${workers[row]}` }))

const label = (answer: Float32Array) => labelAt(answer, { classes: answer.length })

const rightOf = ({ group, own }: Answered) =>
  group.recover().filter(({ query, answer }) => label(answer) === label(own[query])).length

/** Liars who begin after an honest history, one after the other, each on a history that saw none. */
function caught(
  codec: Codec,
  history: readonly RowScores[],
  honest: readonly Answered[],
  attack: string,
  random: Random,
) {
  const lie = parseAttack(attack)
  const told = { count: LIARS, first: 0, suspected: 0 }
  for (let n = 0; n < LIARS; n++) {
    const scores = new Scores(FALSE_ALARMS)
    for (const group of history) scores.see(withWorkers(group, workersOf(random)))
    let suspected = false
    for (let lies = 0; lies < SPAN && !suspected; lies++) {
      const { queries, answers } = honest[(n * SPAN + lies) % honest.length]
      const workers = workersOf(random)
      const { group, rows } = coded(codec, queries)
      add(group, rows, withLies(answers, [workers.indexOf(0)], lie, random))
      const { unusual, suspects } = scores.see(withWorkers(scoresOf(group), workers, 'liar'))
      if (!lies && unusual[0]?.worker === 'liar') told.first++
      suspected = suspects.includes('liar')
    }
    if (suspected) told.suspected++
  }
  return told
}
