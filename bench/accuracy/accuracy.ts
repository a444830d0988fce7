/**
 * npm run bench -- accuracy [MODEL ...]: the accuracy of every scheme on three real models, 5,000 groups a cell (ResNet-8 1,500), seed 1, and
 * writes docs/appendix/accuracy.md with its plots, and prints every cell. Cells that were measured are kept in build/accuracy.json and not measured
 * again; with model names only their cells are measured, so that two processes can share the work. An hour in all.
 * Needs `npm run data`.
 */

import { mean } from '../../src/base/stats'
import { rowLength } from '../../src/base/tensor'
import type { Core } from '../../src/core/core'
import { loadCore } from '../../src/core/load'
import { answersOf, type BatchModel } from '../../src/evaluate/model'
import { shareOf } from '../../src/evaluate/statistics'
import type { Recollection } from '../../src/memory/memory'
import { type ModelName, models, newExperience } from '../shared/models'
import { report } from './accuracy-report'
import { keep, kept, lying, openBench, type Shifted, straggling } from './cells'
import { changed } from './changes'
import { codesIn, compareOnModels } from './codes'
import { measureDomains } from './domains'
import { byLikeness } from './likeness'
import { paperCells } from './paper'
import { measureParm } from './parm'

/** After 300 to learn from, about 5,000 recoveries to be tested on. */
export const CALIBRATION_GROUPS = 6000
/** The model whose memory is shown another kind of images, Fashion-MNIST. */
export const SHIFTED = 'mnist-lenet'
export const MIN_CONFIDENCE = 0.9

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

/** The memory is warmed on one kind of image; every recovery is of another, before and after the model answered. */
async function shifted(core: Core, model: BatchModel, from: Float32Array[], to: Float32Array[]): Promise<void> {
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
  for (const [name, data] of Object.entries(models) as [ModelName, string][]) {
    if (only.length && !only.includes(name)) continue
    const { model, all, load, measure } = await openBench(core, name)
    for (const [queries, stragglers] of parityCells) {
      await measure(`${queries},${stragglers}`, ...straggling(queries, stragglers))
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
    for (const byzantine of byzantineCells) await measure(`byzantine ${byzantine}`, ...lying(byzantine))
    await paperCells(core, name, { model, all, measure })
    await model.close()
    const { changes = [] } = kept()
    if (changes.some(({ set }) => set === data)) continue
    const rows = await changed([data])
    keep('changes', [...(kept().changes ?? []), ...rows])
  }
  if (only.length) return
  if (!kept().domains) keep('domains', await measureDomains())
  await measureParm()
  await report(kept())
}
