/**
 * npm run bench -- parm [MODEL ...]: ParM's parity models (Kosaian, Rashmi, Venkataraman, SOSP 2019), trained for our LeNets, on all 10,000
 * test images: random partitions into groups, each query of a group lost in turn. Beside them, on the same groups, the sum without training
 * and our parity; and a memory alone. Writes the section of docs/appendix/accuracy.md once both models are measured; figures are kept as by bench
 * accuracy. ResNet-8 has no parity model. Needs `npm run data`.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { labelAt } from '../../src/base/criterion'
import { seeded } from '../../src/base/random'
import { loadInputs, loadLabels } from '../../src/cli/npy'
import { Codec } from '../../src/codec/codec'
import type { CodedRow } from '../../src/codec/decode'
import type { Core } from '../../src/core/core'
import { loadCore } from '../../src/core/load'
import { lessOthers } from '../../src/evaluate/group-scores'
import { answersOf, type BatchModel } from '../../src/evaluate/model'
import { type Share, shareOf } from '../../src/evaluate/statistics'
import type { Recollection } from '../../src/memory/memory'
import { OnnxModel } from '../../src/workers/onnx/model'
import { readModel } from '../../src/workers/onnx/model-file'
import { type ModelName, models, newExperience, TITLES } from '../shared/models'
import { markdownTable, percent, within, withSection } from '../shared/report'
import { keep, kept, type ParmRow } from './cells'

/** Values of K with parity models, and with those that the paper prints. */
const TRAINED = [2, 4, 8]
const SIZES = [...TRAINED, 10, 12]
const PARTITIONS = 10
/** The models that have parity models, and those of their sizes. */
const NAMES = ['mnist-lenet', 'fashion-lenet'] as const
const CLASSES = 10
const REMEMBERED = 1000
/** Queries that a memory recovers in each partition. */
const RECALLED = 1000

const ways: Record<ParmRow['way'], string> = {
  trained: 'ParM, trained, our models',
  sum: 'ParM’s sum, no training',
  parity: 'ours, parity',
  memory: `ours, memory of ${REMEMBERED.toLocaleString('en')}, alone`,
  model: 'the model itself',
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

/** Measures what is not kept of a model, and keeps it. */
async function measureModel(core: Core, name: (typeof NAMES)[number]): Promise<void> {
  const set = models[name]
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
    const isKept = (row: ParmRow) => row.model === name && row.way === way && row.queries === queries
    if (kept().parm?.some(isKept)) return
    const figures: { query: number; group: number; label: number }[] = []
    for (let seed = 1; seed <= PARTITIONS; seed++) {
      for (const { query, group, answer } of await answers(seed)) {
        figures.push({ query, group: seed * inputs.length + group, label: labelOf(answer) })
      }
    }
    const share = (truth: ArrayLike<number>) =>
      shareOf(figures.map(({ label, ...drawn }) => ({ ...drawn, value: Number(label === truth[drawn.query]) })))
    const [agreement, right] = [share(own), share(labels)]
    keep('parm', [...(kept().parm ?? []), { model: name, way, ...(queries && { queries }), agreement, right }])
    const shares = [agreement, right].map(({ accuracy, ci95 }) => within(accuracy, ci95))
    console.error(`${name}, ${queries ? `K = ${queries}, ` : ''}${ways[way]}: ${shares.join(', ')}`)
  }

  await measure('model', undefined, () => answered.own.map((answer, query) => ({ query, group: query, answer })))
  const groups = (K: number, seed: number) => partition(inputs.length, K, seed)
  for (const K of TRAINED) {
    const parity = await OnnxModel.load(await readModel(`models/parity/${set}-parity-${K}.onnx`))
    await measure('trained', K, (seed) => answersOfParm(core, parity, answered, groups(K, seed)))
    await parity.close()
  }
  await measure('memory', undefined, (seed) => answersOfMemory(core, model, answered, groups(1, seed).flat()))
  for (const K of SIZES) {
    const codec = new Codec(core, { queries: K, stragglers: 1 })
    await measure('parity', K, (seed) => answersOfOurs(codec, model, answered, groups(K, seed)))
    await measure('sum', K, (seed) => answersOfParm(core, model, answered, groups(K, seed)))
  }
  await model.close()
}

/** Measures what is not kept. @param only  models; default both */
export async function measureParm(only: readonly string[] = []): Promise<void> {
  const core = await loadCore()
  for (const name of NAMES) if (!only.length || only.includes(name)) await measureModel(core, name)
}

/** Printed in ApproxIFER's figure of ParM with ResNet-18: MNIST, Fashion-MNIST; lost queries that are right, %. */
const PRINTED: Record<number, readonly string[]> = {
  8: ['68.3', '67.1'],
  10: ['59.2', '59.0'],
  12: ['50.3', '55.2'],
}

const head = ['K', '', ...NAMES.flatMap((name) => [`${TITLES[name]}: agree`, 'right'])]

/** @param share  as a cell has it */
function tableOf(rows: readonly ParmRow[], share: (share: Share) => string, sizes: readonly number[]): string {
  const cells = (way: ParmRow['way'], K?: number) =>
    NAMES.flatMap((name) => {
      const row = rowOf(rows, name, way, K)
      return row ? [row.agreement, row.right].map(share) : ['-', '-']
    })
  const coded = SIZES.flatMap((K) => [
    ...(['trained', 'sum', 'parity'] as const)
      .filter((way) => sizes.includes(K) && rows.some((row) => row.way === way && row.queries === K))
      .map((way) => [String(K), ways[way], ...cells(way, K)]),
    ...(PRINTED[K] ? [[String(K), 'ParM, printed, ResNet-18', ...PRINTED[K].flatMap((right) => ['-', right])]] : []),
  ])
  const others = (['memory', 'model'] as const).map((way) => ['any', ways[way], ...cells(way)])
  return markdownTable(head, [...coded, ...others])
}

function rowOf(rows: readonly ParmRow[], model: ModelName, way: ParmRow['way'], K?: number): ParmRow | undefined {
  return rows.find((row) => row.model === model && row.way === way && row.queries === K)
}

/** The section of docs/appendix/accuracy.md. */
export function parmSection(rows: readonly ParmRow[]): string {
  /** Accuracy over eight queries of which one is lost. */
  const ofEight = (name: ModelName) => {
    const [lost, alone] = [rowOf(rows, name, 'trained', 8), rowOf(rows, name, 'model')].map(
      (row) => row?.right.accuracy ?? Number.NaN,
    )
    return percent((7 * alone + lost) / 8)
  }
  return `## ParM

ParM sends the sum of K queries to a *parity model*, which is trained so that its answer is the sum of the K answers. A lost answer is the parity model's answer less the other K - 1 answers. ParM needs one additional worker, and a different parity model for each K.
\`models/parity/\` contains parity models for our LeNets, with the LeNets' architecture, for K = 2, 4 and 8. [models/README.md](https://github.com/approxifer/approxifer/blob/main/models/README.md) says how the parity models were trained. There is no parity model for ResNet-8. For ParM with ResNet-18 on CIFAR-10 the paper prints accuracies of 25.4, 20.4 and 19.2 % at K = 8, 10 and 12.

\`npm run bench -- parm\` prints all 95 % intervals (within ±1 point), and also ParM's sum and our parity at K = 10 and 12. The bench cuts the 10,000 test images into groups in ${PARTITIONS} random partitions. Each query of a group is lost in turn. A memory learns the first 1,000 images of a partition and recovers the next ${RECALLED.toLocaleString('en')}. The table has the accuracy over lost queries only. "-" marks a figure that the paper does not print.

${tableOf(rows, ({ accuracy }) => percent(accuracy), TRAINED)}

A trained parity model recovers more labels than our parity. A memory needs no training, and recovers more labels than either parity. With one of eight queries lost, trained ParM has ${ofEight('mnist-lenet')} % (MNIST) and ${ofEight('fashion-lenet')} % (Fashion-MNIST) of all eight labels right.`
}

export default async function parm(_json: boolean, only: string[] = []): Promise<void> {
  await measureParm(only)
  const { parm: rows = [] } = kept()
  console.log(tableOf(rows, ({ accuracy, ci95 }) => within(accuracy, ci95), SIZES))
  const isLast = ({ way, queries }: ParmRow) => way === 'sum' && queries === SIZES.at(-1)
  const missing = NAMES.filter((name) => !rows.some((row) => row.model === name && isLast(row)))
  if (missing.length) return console.error(`docs/appendix/accuracy.md not written: ${missing} not measured to the end`)
  const page = 'docs/appendix/accuracy.md'
  writeFileSync(page, withSection(readFileSync(page, 'utf8'), parmSection(rows)))
  console.log(page)
}
