/**
 * npm run bench -- accuracy [MODEL ...]: the accuracy of every scheme on three real models, 5,000 groups a cell (ResNet-8 1,500), seed 1, and
 * writes docs/accuracy.md with its plots. Cells that were measured are kept in build/accuracy.json and not measured
 * again; with model names only their cells are measured, so that two processes can share the work. An hour in all.
 * Needs `npm run data`.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mean } from '../../src/base/stats'
import { rowLength } from '../../src/base/tensor'
import { loadInputs, loadLabels } from '../../src/cli/npy'
import { Codec, type CodecOptions } from '../../src/codec/codec'
import type { Core } from '../../src/core/core'
import { loadCore } from '../../src/core/load'
import { evaluate } from '../../src/evaluate/evaluate'
import type { EvaluateOptions } from '../../src/evaluate/experiment'
import { answersOf } from '../../src/evaluate/model'
import type { Evaluation } from '../../src/evaluate/scores'
import { ci95, type Figure, type Interval, type Share, shareOf } from '../../src/evaluate/statistics'
import type { Recollection } from '../../src/memory/memory'
import { OnnxModel } from '../../src/workers/onnx/model'
import { readModel } from '../../src/workers/onnx/model-file'
import { models, newExperience } from '../shared/models'
import { report } from './accuracy-report'
import { type Changed, changed } from './changes'
import { codesIn, compareOnModels } from './codes'
import { type Figures, measureDomains } from './domains'
import { byLikeness } from './likeness'

export const GROUPS = 5000
/** Of ResNet-8, whose answers take thirty times as long as LeNet's; intervals are by distinct images, of which there are as many. */
export const FEWER_GROUPS = 1500
export const SEED = 1
/** After 300 to learn from, about 5,000 recoveries to be tested on. */
export const CALIBRATION_GROUPS = 6000
/** The model whose memory is shown another kind of images, Fashion-MNIST. */
export const SHIFTED = 'mnist-lenet'
export const MIN_CONFIDENCE = 0.9

interface Cell extends Pick<EvaluateOptions, 'memory' | 'features' | 'grouping' | 'attack' | 'groups' | 'sets'> {
  scheme: CodecOptions
}

/** What is kept of an evaluation: everything but the single groups. */
export type Measured = Omit<Evaluation, 'drawn'> & {
  /** Paired differences, query by query of the same groups. */
  overGuess: { mean: number; ci95: Interval }
  overPaper?: { mean: number; ci95: Interval }
  guess: number
}

export const parityCells = [
  [2, 1],
  [4, 1],
  [8, 1],
  [10, 1],
  [12, 1],
  [8, 2],
  [8, 3],
] as const

/** Beside the codes' own decoders, which the cells above measure. */
export const decoderCells = [
  [2, 1],
  [8, 1],
  [8, 2],
] as const
export const otherDecoders = [
  ['berrut', 'kriging'],
  ['berrut', 'least-squares'],
  ['systematic', 'least-squares'],
] as const

export const byzantineCells = [1, 2, 3] as const
export const memories = [1000, 4000] as const

export const key = (model: string, scheme: string, detail: string) => `${model} ${scheme} ${detail}`

/** A memory of one kind of query, asked for another. */
export interface Shifted {
  memory: number
  /** Does the memory go on remembering what the model says to the new kind? */
  live: boolean
  /** With the model's own label. */
  agreement: Share
  confidence: number
  /** Agreement of those with at least MIN_CONFIDENCE. */
  sure?: Share | undefined
}

/** Cells by `key`, and tables. */
export type Results = Record<string, Measured> & {
  shifted?: Shifted[]
  changes?: Changed[]
  domains?: Record<string, Figures>
}

const FILE = 'build/accuracy.json'

function kept(): Results {
  try {
    return JSON.parse(readFileSync(FILE, 'utf8'))
  } catch {
    return {}
  }
}

/** Reads before it writes: another process may have added cells. */
function keep(name: string, measured: Results[string] | Results['shifted' | 'changes' | 'domains']): void {
  mkdirSync('build', { recursive: true })
  writeFileSync(FILE, JSON.stringify({ ...kept(), [name]: measured }, null, 1))
}

/** The memory is warmed on one kind of image; every recovery is of another, before and after the model answered. */
async function shifted(core: Core, model: OnnxModel, from: Float32Array[], to: Float32Array[]): Promise<void> {
  if (kept().shifted) return
  const [known, strange] = [from.slice(0, Math.max(...memories)), to.slice(0, 5000)]
  const [told, own] = [await answersOf(model, known), await answersOf(model, strange)]
  const results: Shifted[] = []
  for (const live of [false, true]) {
    for (const memory of memories) {
      const experience = newExperience(core, model.signature)
      for (let i = 0; i < memory; i++) Array.from(experience.train(known[i], told[i]))
      const stated = strange.map((input, i) => {
        const recalled = { ...(experience.recall(input) as Recollection), missing: 1 }
        const confidence = experience.confidence.of(recalled) ?? 0
        const value = Number(experience.confidence.agrees(recalled.answer, own[i]))
        if (live && i % 8) Array.from(experience.train(input, own[i])) // one of eight is lost
        return { query: i, group: i, value, confidence }
      })
      const sure = stated.filter(({ confidence }) => confidence >= MIN_CONFIDENCE)
      results.push({
        memory,
        live,
        agreement: shareOf(stated),
        confidence: mean(stated.map(({ confidence }) => confidence)),
        ...(sure.length && { sure: shareOf(sure) }),
      })
    }
  }
  keep('shifted', results)
}

export default async function accuracy(json: boolean, words: string[] = []): Promise<void> {
  const { codes, others: only } = codesIn(words)
  if (codes.length) return compareOnModels(codes, only, json)
  const core = await loadCore()
  for (const [name, data] of Object.entries(models)) {
    if (only.length && !only.includes(name)) continue
    const model = await OnnxModel.load(await readModel(`models/${name}.onnx`))
    const { shape } = model.signature.inputs[0]
    const load = async (set: string) => ({
      inputs: await loadInputs(`data/${set}-images.npy`, shape),
      labels: await loadLabels(`data/${set}-labels.npy`),
    })
    const [few, all] = [await load(`${data}-1000`), await load(data)]
    const run = async ({ scheme, memory = 0, ...cell }: Cell) => {
      const set = memory ? all : few
      const sets = memory || scheme.byzantine ? 0 : 200
      const settings = {
        groups: name === 'cifar-resnet8' ? FEWER_GROUPS : GROUPS,
        seed: SEED,
        sets,
        memory,
        policy: 'recover' as const,
        ...cell,
      }
      return evaluate({ model, codec: new Codec(core, scheme), ...set, ...settings })
    }
    const measure = async (detail: string, ours: Cell, paper?: Cell) => {
      const [a, b] = [key(name, 'ours', detail), key(name, 'paper', detail)]
      if (kept()[a]) return
      const start = performance.now()
      const mine = await run(ours)
      const theirs = paper && (await run(paper))
      keep(a, shortened(mine, theirs))
      if (theirs) keep(b, shortened(theirs))
      console.error(`${a}: ${((performance.now() - start) / 1000).toFixed(0)} s`)
    }
    for (const [queries, stragglers] of parityCells) {
      const scheme = { queries, stragglers }
      await measure(`${queries},${stragglers}`, { scheme }, { scheme: { ...scheme, preset: 'aaai22' } })
    }
    for (const [queries, stragglers] of decoderCells) {
      for (const [code, decoder] of otherDecoders) {
        await measure(`${code} ${decoder} ${queries},${stragglers}`, { scheme: { queries, stragglers, code, decoder } })
      }
    }
    const scheme = { queries: 8, stragglers: 1 }
    await measure('likeness:16', { scheme, grouping: byLikeness(core, rowLength(model.signature.inputs), 8, 16) })
    for (const memory of memories) await measure(`memory ${memory}`, { scheme, memory })
    for (const memory of [0, 1000]) {
      await measure(`calibration ${memory}`, {
        scheme,
        memory,
        groups: name === 'cifar-resnet8' ? CALIBRATION_GROUPS / 4 : CALIBRATION_GROUPS,
        sets: 0,
      })
    }
    if (name === SHIFTED) await shifted(core, model, all.inputs, (await load('fashion')).inputs)
    for (const byzantine of byzantineCells) {
      // The authors' scripts use one worker fewer than the paper; enough results for the vote all the same.
      const scheme = { queries: 12, byzantine, workers: 2 * (12 + byzantine) - 1 }
      const groups = 1000
      await measure(`byzantine ${byzantine}`, { scheme, groups }, { scheme: { ...scheme, preset: 'aaai22' }, groups })
    }
    await model.close()
    const { changes = [] } = kept()
    if (changes.some(({ set }) => set === data)) continue
    const rows = await changed([data])
    keep('changes', [...(kept().changes ?? []), ...rows])
  }
  if (only.length) return
  if (!kept().domains) keep('domains', await measureDomains())
  await report(kept())
}

function shortened({ drawn, ...rest }: Evaluation, paper?: Evaluation): Measured {
  const paired = (other: readonly Figure[]) => {
    const differences = drawn.all.map((figure, i) => ({ ...figure, value: figure.value - other[i].value }))
    return { mean: mean(differences.map(({ value }) => value)), ci95: ci95(differences) }
  }
  return {
    ...rest,
    guess: mean(drawn.guess.map(({ value }) => value)),
    overGuess: paired(drawn.guess),
    ...(paper && { overPaper: paired(paper.drawn.all) }),
  }
}
