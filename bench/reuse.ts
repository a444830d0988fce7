/**
 * npm run bench -- reuse [COINS] [MODEL ..] [--json]: answers before asking, from nothing, in five orders of each stream; 100 coins unless told otherwise. What the
 * memory is confident of is recorded once for each order, every answer taught; then the rule is run on that with many coins, and the same
 * rule on the nearest neighbour's answers. Needs `npm run data`.
 */

import { existsSync } from 'node:fs'
import { loadInputs } from '../src/cli/npy'
import { table } from '../src/cli/table'
import { loadCore } from '../src/core/load'
import { labelAt } from '../src/criterion'
import { answersOf } from '../src/evaluate/model'
import { Ledger } from '../src/ledger/ledger'
import type { Recollection } from '../src/memory/memory'
import { type Random, seeded } from '../src/random'
import { OnnxModel } from '../src/workers/onnx/model'
import { readModel } from '../src/workers/onnx/model-file'
import { newExperience } from './changes'

const MAX_ERRORS = [0.01, 0.05]
const FIRST = 20
const MOST = 1000
/** A stream that goes on for so long, as its last queries were. */
const STEADY = { answers: 100_000, last: 1500, coins: 10 }
/** Earlier answers of the neighbour by which its confidence is told. */
const NEAREST = 100

interface Source {
  model: string
  inputs: string
  queries: number
  isImage: boolean
}

const sources: Record<string, Source> = {
  mnist: { model: 'models/mnist-lenet.onnx', inputs: 'data/mnist-images.npy', queries: 5000, isImage: true },
  fashion: { model: 'models/fashion-lenet.onnx', inputs: 'data/fashion-images.npy', queries: 5000, isImage: true },
  cifar: { model: 'models/cifar-resnet8.onnx', inputs: 'data/cifar-images.npy', queries: 2000, isImage: true },
  'mixed-units': { model: 'test/fixtures/mixed-units.onnx', inputs: 'test/fixtures/mixed-units-inputs.npy', queries: 3000, isImage: false }, // biome-ignore format: one line
  checker: { model: 'test/fixtures/checker.onnx', inputs: 'test/fixtures/checker-inputs.npy', queries: 3000, isImage: false }, // biome-ignore format: one line
}

/** A query and the model's answer. */
interface Pair {
  query: Float32Array
  answer: Float32Array
}

const label = ({ answer }: Pair) => labelAt(answer, { classes: answer.length })
const rotated = (answer: Float32Array) => answer.map((_, i) => answer[(i + 1) % answer.length])

/** What comes in which order. `again` asks the model about other queries. */
const orders: Record<string, (pairs: Pair[], again: (queries: Float32Array[]) => Promise<Pair[]>) => Promise<Pair[]>> =
  {
    'as it comes': async (pairs) => pairs,
    'class by class': async (pairs) => [...pairs].sort((a, b) => label(a) - label(b)),
    'new classes half-way': async (pairs) => {
      const isOld = (pair: Pair) => label(pair) < pair.answer.length / 2
      const half = Math.floor(pairs.length / 2)
      const early = pairs.filter(isOld).slice(0, half)
      return [...early, ...pairs.filter((pair) => !early.includes(pair)).slice(0, half)]
    },
    drift: (pairs, again) => again(pairs.map(({ query }, i) => query.map((x) => x * (1 - (0.6 * i) / pairs.length)))),
    'model replaced half-way': async (pairs) =>
      pairs.map((pair, i) => (i < pairs.length / 2 ? pair : { query: pair.query, answer: rotated(pair.answer) })),
  }

/** How confident something is of an answer, and whether it is right; of the first ones nothing is said. */
type Recorded = { confidence: number; isRight: boolean } | undefined

async function recorded(pairs: readonly Pair[], model: OnnxModel): Promise<Recorded[]> {
  const core = await loadCore()
  const experience = newExperience(core, model.signature)
  return pairs.map(({ query, answer }) => {
    experience.confidence.observe(answer)
    const said = experience.recall(query) as Recollection | undefined
    const confidence = said && (experience.confidence.of({ ...said, missing: 1 }) ?? 0)
    const isRight = said && experience.confidence.agrees(said.answer, answer) === true
    Array.from(experience.train(query, answer))
    return confidence === undefined ? undefined : { confidence, isRight: isRight === true }
  })
}

/** The nearest earlier query's answer; confident as often as earlier ones at distances like it were right. */
function neighbours(pairs: readonly Pair[]): Recorded[] {
  const known: { distance: number; isRight: boolean }[] = []
  return pairs.map((pair, i) => {
    let [nearest, distance] = [-1, Number.POSITIVE_INFINITY]
    for (let j = 0; j < i; j++) {
      const own = squared(pair.query, pairs[j].query, distance)
      if (own < distance) [nearest, distance] = [j, own]
    }
    if (nearest < 0) return undefined
    const isRight = label(pairs[nearest]) === label(pair)
    const at = place(known, distance)
    const from = Math.max(0, Math.min(at - NEAREST / 2, known.length - NEAREST))
    const like = known.slice(from, from + NEAREST)
    const confidence = (like.filter((each) => each.isRight).length + 1) / (like.length + 2)
    known.splice(at, 0, { distance, isRight })
    return { confidence, isRight }
  })
}

function squared(a: Float32Array, b: Float32Array, most: number): number {
  let sum = 0
  for (let i = 0; i < a.length; ) {
    for (const end = Math.min(a.length, i + 64); i < end; i++) sum += (a[i] - b[i]) ** 2
    if (sum >= most) return sum
  }
  return sum
}

/** Where it belongs in a sorted list. */
function place(sorted: readonly { distance: number }[], distance: number): number {
  let [from, to] = [0, sorted.length]
  while (from < to) {
    const middle = (from + to) >> 1
    if (sorted[middle].distance < distance) from = middle + 1
    else to = middle
  }
  return from
}

interface Figures {
  queries: number
  asked: number
  audits: number
  wrong: number
  spans: number
  over: number
}

const nothing = (): Figures => ({ queries: 0, asked: 0, audits: 0, wrong: 0, spans: 0, over: 0 })

function add(to: Figures, more: Figures): Figures {
  for (const name of Object.keys(to) as (keyof Figures)[]) to[name] += more[name]
  return to
}

/** One coin on one recording. @param from  where counting begins */
function run(stream: readonly Recorded[], maxError: number, random: Random, from = 0): Figures {
  const ledger = new Ledger({ maxError, recovers: false, coin: random.next })
  const figures = { ...nothing(), queries: stream.length - from }
  let [budget, left, wrong] = [FIRST, FIRST / maxError, 0]
  const close = () => {
    figures.spans++
    figures.over += Number(wrong > budget)
  }
  for (const [i, said] of stream.entries()) {
    if (i === from) Object.assign(figures, { asked: 0, audits: 0, wrong: 0 })
    if (left-- === 0) {
      close()
      budget = Math.min(MOST, 2 * budget)
      ;[left, wrong] = [budget / maxError - 1, 0]
    }
    if (!said) {
      ledger.count()
      figures.asked++
      continue
    }
    const draw = ledger.draw(said.confidence)
    if (draw.is !== 'remember') figures.asked++
    else wrong += Number(!said.isRight)
    if (draw.is === 'remember') figures.wrong += Number(!said.isRight)
    figures.audits += Number(draw.is === 'audit')
    draw.told(said.isRight)
  }
  close()
  return figures
}

/** As the last of a stream were, for long. */
function goneOn(stream: readonly Recorded[], random: Random): Recorded[] {
  const more = Array.from({ length: STEADY.answers - stream.length }, () => stream[stream.length - 1 - random.below(STEADY.last)]) // biome-ignore format: one line
  return [...stream, ...more]
}

interface Row {
  name: string
  order: string
  maxError: number
  memory: Figures
  neighbour: Figures
}

async function rowsOf(name: string, coins: number, tell: (row: Row) => void): Promise<void> {
  const { model: path, inputs: file, queries, isImage } = sources[name]
  const model = await OnnxModel.load(await readModel(path))
  const inputs = (await loadInputs(file, model.signature.inputs[0].shape)).slice(0, queries)
  const again = async (all: Float32Array[]) => {
    const answers = await answersOf(model, all)
    return all.map((query, i) => ({ query, answer: answers[i] }))
  }
  const pairs = await again(inputs)
  for (const [order, arrange] of Object.entries(orders)) {
    if (order === 'drift' && !isImage) continue
    const stream = await arrange(pairs, again)
    const [memory, neighbour] = [await recorded(stream, model), neighbours(stream)]
    const [first] = Object.keys(orders)
    const steady = order === first ? goneOn(memory, seeded(1001)) : []
    for (const maxError of MAX_ERRORS) {
      const later = nothing()
      for (let coin = 1; steady.length && coin <= STEADY.coins; coin++)
        add(later, run(steady, maxError, seeded(coin), STEADY.answers / 2))
      if (steady.length) tell({ name, order: 'steady, last half', maxError, memory: later, neighbour: nothing() })
      const all = { memory: nothing(), neighbour: nothing() }
      for (let coin = 1; coin <= coins; coin++) {
        add(all.memory, run(memory, maxError, seeded(coin)))
        add(all.neighbour, run(neighbour, maxError, seeded(coin)))
      }
      tell({ name, order, maxError, ...all })
    }
  }
  await model.close()
}

function cells({ name, order, maxError, memory, neighbour }: Row): string[] {
  const percent = (part: number, all: number) => ((100 * part) / all).toFixed(2)
  const share = ({ asked, queries }: Figures) => (queries ? (asked / queries).toFixed(2) : '-')
  const { queries, audits, wrong, over, spans } = memory
  const spent = [percent(audits, queries), percent(wrong, queries), `${over} of ${spans}`]
  return [name, order, `${maxError}`, share(memory), ...spent, share(neighbour), `${neighbour.over} of ${neighbour.spans}`] // biome-ignore format: one line
}

const head = ['stream', 'order', 'maxError', 'inferences a query', 'audits, %', 'wrong, %', 'spans over', 'nearest neighbour', 'its spans over'] // biome-ignore format: one line

export async function reuseBench(json: boolean, args: string[]): Promise<void> {
  const coins = Number(args.find((arg) => /^\d+$/.test(arg)) ?? 100)
  const only = args.filter((arg) => arg in sources)
  const rows: Row[] = []
  for (const name of only.length ? only : Object.keys(sources)) {
    if (!existsSync(sources[name].inputs)) continue
    await rowsOf(name, coins, (row) => {
      rows.push(row)
      if (!json) console.error(cells(row).join('; '))
    })
  }
  for (const maxError of MAX_ERRORS) {
    const all = rows.filter((row) => row.maxError === maxError && row.order in orders)
    const sum = (of: 'memory' | 'neighbour') => all.reduce((sum, row) => add(sum, row[of]), nothing())
    rows.push({ name: 'all', order: '', maxError, memory: sum('memory'), neighbour: sum('neighbour') })
  }
  if (json) return console.log(JSON.stringify(rows, null, 2))
  const out = table(head)
  for (const row of rows) out.push(cells(row))
  console.log(`${out}`)
}
