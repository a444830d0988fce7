/**
 * npm run bench -- parm [--json]: ParM's parity models (Kosaian, Rashmi, Venkataraman, SOSP 2019), trained for our LeNets, on all 10,000 test
 * images: random partitions into groups, each query of a group lost in turn. Beside them, on the same groups, the sum without training and our
 * parity; and a memory alone. Writes the section of docs/accuracy.md. ResNet-8 has no parity model. Needs `npm run data`.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { labelAt } from '../../src/base/criterion'
import { seeded } from '../../src/base/random'
import { loadInputs, loadLabels } from '../../src/cli/npy'
import { Codec } from '../../src/codec/codec'
import type { CodedRow } from '../../src/codec/decode'
import type { Core } from '../../src/core/core'
import { loadCore } from '../../src/core/load'
import { answersOf, type BatchModel } from '../../src/evaluate/model'
import { type Share, shareOf } from '../../src/evaluate/statistics'
import type { Recollection } from '../../src/memory/memory'
import { OnnxModel } from '../../src/workers/onnx/model'
import { readModel } from '../../src/workers/onnx/model-file'
import { type ModelName, models, newExperience, TITLES } from '../shared/models'
import { markdownTable, percent, within, withSection } from '../shared/report'

/** Values of K: those with parity models, and those that the paper prints. */
const SIZES = [2, 4, 8, 10, 12]
const PARTITIONS = 10
/** Of ResNet-8, whose answers take thirty times as long. */
const FEWER_PARTITIONS = 3
const CLASSES = 10
const REMEMBERED = 1000
/** Queries that a memory recovers in each partition. */
const RECALLED = 3000

const ways = {
  trained: 'ParM, trained, our models',
  sum: 'ParM’s sum, no training',
  parity: 'ours, parity',
  memory: `ours, memory of ${REMEMBERED.toLocaleString('en')}, alone`,
  model: 'the model itself',
} as const

/** How good the answers are that one way gives to lost queries. */
export interface ParmRow {
  model: ModelName
  way: keyof typeof ways
  /** K; undefined where groups do not matter. */
  queries?: number
  /** Shares of answers with the model's own label, and with the right one. */
  agreement: Share
  right: Share
}

/** Images, and the model's own answers to them. */
export interface Answered {
  inputs: readonly Float32Array[]
  own: readonly Float32Array[]
}

/** An answer to a lost query: to image `query`, in group `group`. */
export interface LostAnswer {
  query: number
  group: number
  answer: Float32Array
}

/** All images in random order, cut into groups of K. A remainder of fewer belongs to no group. */
export function partition(images: number, K: number, seed: number): number[][] {
  const order = seeded(seed).choose(images, images)
  return Array.from({ length: Math.floor(images / K) }, (_, group) => order.slice(group * K, (group + 1) * K))
}

/** ParM's decoder: the parity model's answer to the sum of K queries, less the K - 1 answers that came. A new array. */
export function lessOthers(parity: Float32Array, others: readonly Float32Array[]): Float32Array {
  return parity.map((value, c) => others.reduce((rest, answer) => rest - answer[c], value))
}

/** What ParM makes of each query of these groups, as the only lost one. @param parity  answers the sums of queries */
export async function answersOfParm(
  core: Core,
  parity: BatchModel,
  { inputs, own }: Answered,
  groups: readonly (readonly number[])[],
): Promise<LostAnswer[]> {
  const sums = groups.map((group) => {
    const ones = new Float32Array(group.length).fill(1)
    return core.combine(
      ones,
      group.map((i) => inputs[i]),
    )[0]
  })
  const parities = await answersOf(parity, sums)
  return groups.flatMap((queries, group) =>
    queries.map((query) => {
      const others = queries.filter((each) => each !== query).map((each) => own[each])
      return { query, group, answer: lessOthers(parities[group], others) }
    }),
  )
}

/** The same of our parity. */
async function answersOfOurs(
  codec: Codec,
  model: BatchModel,
  { inputs, own }: Answered,
  groups: readonly (readonly number[])[],
): Promise<LostAnswer[]> {
  const coded = groups.map((queries) => {
    const group = codec.open()
    for (const query of queries) group.join(inputs[query])
    return { group, parity: group.close()[0] }
  })
  const parities = await answersOf(
    model,
    coded.map(({ parity }) => parity.data),
  )
  return groups.flatMap((queries, g) =>
    queries.map((query, lost) => {
      const { group, parity } = coded[g]
      group.forget()
      for (const [i, each] of queries.entries()) if (i !== lost) group.add(group.row(i) as CodedRow, own[each])
      group.add(parity, parities[g])
      return { query, group: g, answer: group.recover()[0].answer }
    }),
  )
}

/** What a memory of the first images of a partition makes of later ones. */
function answersOfMemory(core: Core, { signature }: BatchModel, { inputs, own }: Answered, order: number[]) {
  const experience = newExperience(core, signature)
  for (const i of order.slice(0, REMEMBERED)) {
    experience.confidence.observe(own[i])
    Array.from(experience.train(inputs[i], own[i]))
  }
  experience.settle()
  return order.slice(REMEMBERED, REMEMBERED + RECALLED).map((query, group) => {
    const { answer } = experience.recall(inputs[query]) as Recollection
    return { query, group, answer }
  })
}

async function measureModel(core: Core, name: ModelName, tell: (row: ParmRow) => void): Promise<ParmRow[]> {
  const rows: ParmRow[] = []
  const set = models[name]
  const partitions = name === 'cifar-resnet8' ? FEWER_PARTITIONS : PARTITIONS
  const model = await OnnxModel.load(await readModel(`models/${name}.onnx`))
  const inputs = await loadInputs(`data/${set}-images.npy`, model.signature.inputs[0].shape)
  const labels = await loadLabels(`data/${set}-labels.npy`)
  const answered = { inputs, own: await answersOf(model, inputs) }
  const labelOf = (answer: Float32Array) => labelAt(answer, { classes: CLASSES })
  const own = answered.own.map(labelOf)

  /** Measures one way over all partitions. */
  const measure = async (
    way: ParmRow['way'],
    queries: number | undefined,
    answers: (seed: number) => LostAnswer[] | Promise<LostAnswer[]>,
  ) => {
    const figures: { query: number; group: number; label: number }[] = []
    for (let seed = 1; seed <= partitions; seed++) {
      for (const { query, group, answer } of await answers(seed)) {
        figures.push({ query, group: seed * inputs.length + group, label: labelOf(answer) })
      }
    }
    const share = (truth: ArrayLike<number>) =>
      shareOf(figures.map(({ label, ...drawn }) => ({ ...drawn, value: Number(label === truth[drawn.query]) })))
    const row = { model: name, way, ...(queries && { queries }), agreement: share(own), right: share(labels) }
    rows.push(row)
    tell(row)
  }

  for (const K of SIZES) {
    const groups = (seed: number) => partition(inputs.length, K, seed)
    const file = `models/parity/${set}-parity-${K}.onnx`
    if (existsSync(file)) {
      const parity = await OnnxModel.load(await readModel(file))
      await measure('trained', K, (seed) => answersOfParm(core, parity, answered, groups(seed)))
      await parity.close()
    }
    await measure('sum', K, (seed) => answersOfParm(core, model, answered, groups(seed)))
    const codec = new Codec(core, { queries: K, stragglers: 1 })
    await measure('parity', K, (seed) => answersOfOurs(codec, model, answered, groups(seed)))
  }
  await measure('memory', undefined, (seed) =>
    answersOfMemory(core, model, answered, partition(inputs.length, 1, seed).flat()),
  )
  await measure('model', undefined, () => answered.own.map((answer, query) => ({ query, group: query, answer })))
  await model.close()
  return rows
}

/** All rows of all models. */
export async function measureParm(tell: (row: ParmRow) => void = () => {}): Promise<ParmRow[]> {
  const core = await loadCore()
  const all: ParmRow[] = []
  for (const name of Object.keys(models) as ModelName[]) all.push(...(await measureModel(core, name, tell)))
  return all
}

/** Printed in ApproxIFER's figure of ParM with ResNet-18: MNIST, Fashion-MNIST, CIFAR-10; lost queries that are right, %. */
const PRINTED: Record<number, readonly string[]> = {
  8: ['68.3', '67.1', '25.4'],
  10: ['59.2', '59.0', '20.4'],
  12: ['50.3', '55.2', '19.2'],
}

/** The section of docs/accuracy.md. */
export function parmSection(rows: readonly ParmRow[]): string {
  const names = Object.keys(models) as ModelName[]
  const find = (model: ModelName, way: ParmRow['way'], K?: number) =>
    rows.find((row) => row.model === model && row.way === way && row.queries === K)
  const cells = (way: ParmRow['way'], K?: number) =>
    names.flatMap((name) => {
      const row = find(name, way, K)
      return row ? [row.agreement, row.right].map(({ accuracy, ci95 }) => within(accuracy, ci95)) : ['-', '-']
    })
  const table = SIZES.flatMap((K) => [
    ...(['trained', 'sum', 'parity'] as const)
      .filter((way) => rows.some((row) => row.way === way && row.queries === K))
      .map((way) => [String(K), ways[way], ...cells(way, K)]),
    ...(PRINTED[K] ? [[String(K), 'ParM, printed, ResNet-18', ...PRINTED[K].flatMap((right) => ['-', right])]] : []),
  ])
  const others = (['memory', 'model'] as const).map((way) => ['any', ways[way], ...cells(way)])
  const head = names.flatMap((name) => [`${TITLES[name]}: agree`, 'right'])
  /** Accuracy over eight queries of which one is lost. */
  const ofEight = (name: ModelName) => {
    const [lost, alone] = [find(name, 'trained', 8), find(name, 'model')].map(
      (row) => row?.right.accuracy ?? Number.NaN,
    )
    return percent((7 * alone + lost) / 8)
  }
  return `## ParM

ParM sends the sum of K queries to a *parity model*, trained so that its answer is the sum of the K answers. A lost answer is its answer less the other K - 1. It takes one more worker, and one parity model per K.
\`models/parity/\` has parity models of our LeNets for K = 2, 4, 8, of the same architecture; [models/README.md](https://github.com/approxifer/approxifer/blob/main/models/README.md) says how they were trained. ResNet-8 has none.

\`npm run bench -- parm\`: the 10,000 test images in ${PARTITIONS} random partitions into groups (ResNet-8 ${FEWER_PARTITIONS}), each query of a group lost in turn. "agree" means the model's own label. All ways have the same groups. A memory learns the first 1,000 images of a partition and recovers the next 3,000.

${markdownTable(['K', '', ...head], [...table, ...others])}

The table has lost queries only. Over all eight queries, one of them lost, trained ParM has ${ofEight('mnist-lenet')} (MNIST) and ${ofEight('fashion-lenet')} (Fashion-MNIST) right; the paper's code approximates all eight.`
}

export default async function parm(json: boolean): Promise<void> {
  const rows = await measureParm(({ model, way, queries, agreement, right }) => {
    const shares = [agreement, right].map(({ accuracy, ci95 }) => within(accuracy, ci95))
    console.error(`${model}, ${queries ? `K = ${queries}, ` : ''}${ways[way]}: ${shares.join(', ')}`)
  })
  if (json) return console.log(JSON.stringify(rows, null, 2))
  const page = 'docs/accuracy.md'
  writeFileSync(page, withSection(readFileSync(page, 'utf8'), parmSection(rows)))
  console.log(page)
}
