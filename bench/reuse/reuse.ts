/**
 * npm run bench -- reuse [COINS] [STREAM ..] [--json]: answers before asking, from nothing, in five orders of each stream; 100 coins unless told otherwise. What the
 * memory is confident of is recorded once for each order, every answer taught; then the rule is run on that with many coins, and the same
 * rule on the nearest neighbour's answers. Of all streams it draws docs/appendix/reuse.svg and writes the table of docs/appendix/reuse.md. Needs `npm run data`.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { labelAt } from '../../src/base/criterion'
import { type Random, seeded } from '../../src/base/random'
import { loadInputs } from '../../src/cli/npy'
import { table } from '../../src/cli/table'
import { loadCore } from '../../src/core/load'
import { addTo, nothingSpent, type Recorded, Recorder, type Spending, spend } from '../../src/evaluate/error-budgets'
import { answersOf } from '../../src/evaluate/model'
import { OnnxModel } from '../../src/workers/onnx/model'
import { readModel } from '../../src/workers/onnx/model-file'
import { newExperience } from '../shared/models'
import { markdownTable, svg } from '../shared/report'

const MAX_ERRORS = [0.002, 0.01, 0.02, 0.05]
/** Those of the table. */
const SHOWN = [0.01, 0.05]
/** A stream that goes on for so long, as its last queries were. */
const STEADY = { answers: 100_000, last: 1500, coins: 10 }

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

async function recorded(pairs: readonly Pair[], model: OnnxModel): Promise<Recorder> {
  const recorder = new Recorder(newExperience(await loadCore(), model.signature))
  for (const { query, answer } of pairs) recorder.next(query, answer)
  return recorder
}

/** As the last of a stream were, for long. */
function goneOn(stream: readonly Recorded[], random: Random): Recorded[] {
  const again = (_: unknown, i: number) => {
    const { said } = stream[stream.length - 1 - random.below(STEADY.last)]
    return { first: stream.length + i, said } // like that query, not equal
  }
  return [...stream, ...Array.from({ length: STEADY.answers - stream.length }, again)]
}

interface Row {
  name: string
  order: string
  maxError: number
  memory: Spending
  neighbour: Spending
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
    const { memory, neighbour } = await recorded(stream, model)
    const [first] = Object.keys(orders)
    const steady = order === first ? goneOn(memory, seeded(1001)) : []
    for (const maxError of MAX_ERRORS) {
      const later = nothingSpent()
      for (let coin = 1; steady.length && coin <= STEADY.coins; coin++)
        addTo(later, spend(steady, maxError, seeded(coin), STEADY.answers / 2))
      if (steady.length) tell({ name, order: 'steady, last half', maxError, memory: later, neighbour: nothingSpent() })
      const all = { memory: nothingSpent(), neighbour: nothingSpent() }
      for (let coin = 1; coin <= coins; coin++) {
        addTo(all.memory, spend(memory, maxError, seeded(coin)))
        addTo(all.neighbour, spend(neighbour, maxError, seeded(coin)))
      }
      tell({ name, order, maxError, ...all })
    }
  }
  await model.close()
}

function cells({ name, order, maxError, memory, neighbour }: Row): string[] {
  const percent = (part: number, all: number) => ((100 * part) / all).toFixed(2)
  const { queries, audits, wrong, over, windows } = memory
  const spent = [percent(audits, queries), percent(wrong, queries), `${over} of ${windows}`]
  return [name, order, `${maxError}`, share(memory), ...spent, share(neighbour), `${neighbour.over} of ${neighbour.windows}`] // biome-ignore format: one line
}

const share = ({ asked, queries }: Spending) => (queries ? (asked / queries).toFixed(2) : '-')

/** Inferences a query of each stream as it comes, by the error that the user sets. */
function plotOf(rows: readonly Row[]) {
  const [first] = Object.keys(orders)
  const systems = ['memory', 'nearest neighbour'] as const
  const values = rows
    .filter(({ order }) => order === first)
    .flatMap(
      ({ name, maxError, memory, neighbour }) =>
      [memory, neighbour].map(({ asked, queries }, i) => ({ stream: name, maxError, answered: systems[i], asked: asked / queries })), // biome-ignore format: one line
    )
  return svg({
    data: { values },
    width: 420,
    height: 260,
    mark: 'line',
    encoding: {
      x: { field: 'maxError', type: 'quantitative', title: 'maxError', scale: { type: 'log' }, axis: { values: MAX_ERRORS, format: '~r' } }, // biome-ignore format: one line
      y: { field: 'asked', type: 'quantitative', title: 'inferences a query', scale: { domain: [0, 1] } },
      color: { field: 'stream', type: 'nominal', title: null, sort: Object.keys(sources) },
      strokeDash: { field: 'answered', type: 'nominal', title: null, sort: [...systems] },
    },
  })
}

/** For the page: orders down, streams across. */
function pageTable(rows: readonly Row[]): string {
  const cell = (stream: string, where: string) =>
    SHOWN.flatMap((level) => rows.filter(({ name, order, maxError }) => name === stream && order === where && maxError === level)) // biome-ignore format: one line
      .map(({ memory, neighbour }) => `${share(memory)} (${share(neighbour)})`)
      .join('; ') || '-'
  const names = Object.keys(sources)
  return markdownTable(['order', ...names], Object.keys(orders).map((order) => [order, ...names.map((name) => cell(name, order))])) // biome-ignore format: one line
}

async function writePage(rows: readonly Row[]): Promise<void> {
  const page = 'docs/appendix/reuse.md'
  writeFileSync('docs/appendix/reuse.svg', await plotOf(rows))
  writeFileSync(
    page,
    readFileSync(page, 'utf8').replace(/\| order \|.*?\n(?=\n)/s, () => `${pageTable(rows).trim()}\n`),
  )
}

const head = ['stream', 'order', 'maxError', 'inferences a query', 'audits, %', 'wrong, %', 'spans over', 'nearest neighbour', 'its spans over'] // biome-ignore format: one line

export default async function reuseBench(json: boolean, args: string[]): Promise<void> {
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
    const sum = (of: 'memory' | 'neighbour') => all.reduce((sum, row) => addTo(sum, row[of]), nothingSpent())
    rows.push({ name: 'all', order: '', maxError, memory: sum('memory'), neighbour: sum('neighbour') })
  }
  if (!only.length) await writePage(rows)
  if (json) return console.log(JSON.stringify(rows, null, 2))
  const out = table(head)
  for (const row of rows) out.push(cells(row))
  console.log(`${out}`)
}
