/** Cells of docs/appendix/accuracy.md: what is measured of a scheme on one model, and where it is kept. */

import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mean } from '../../src/base/stats'
import { loadInputs, loadLabels } from '../../src/cli/npy'
import { Codec, type CodecOptions } from '../../src/codec/codec'
import type { Core } from '../../src/core/core'
import { evaluate } from '../../src/evaluate/evaluate'
import type { EvaluateOptions } from '../../src/evaluate/experiment'
import type { Evaluation } from '../../src/evaluate/scores'
import { type Difference, pairedDifference, type Share } from '../../src/evaluate/statistics'
import type { IntegrityLevel } from '../../src/evaluate/verified'
import { OnnxModel } from '../../src/workers/onnx/model'
import { readModel } from '../../src/workers/onnx/model-file'
import { type ModelName, models } from '../shared/models'
import type { Changed } from './changes'
import type { Figures } from './domains'

export const GROUPS = 5000
/** Of ResNet-8, whose answers take thirty times as long as LeNet's; intervals are by distinct images, of which there are as many. */
export const FEWER_GROUPS = 1500
export const SEED = 1

export interface Cell extends Pick<EvaluateOptions, 'memory' | 'features' | 'grouping' | 'attack' | 'groups' | 'sets'> {
  scheme: CodecOptions
}

/** What is kept of an evaluation: everything but the single groups. */
export type Measured = Omit<Evaluation, 'drawn'> & {
  /** Paired differences, query by query of the same groups. */
  overGuess: Difference
  overPaper?: Difference
  guess: number
}

/** A cell of ours, and the same of the paper's scheme. */
type Pair = [ours: Cell, paper: Cell]

export function straggling(queries: number, stragglers: number): Pair {
  const scheme = { queries, stragglers }
  return [{ scheme }, { scheme: { ...scheme, preset: 'aaai22' } }]
}

/** K = 12. The authors' scripts use one worker fewer than the paper; enough results for the vote all the same. */
export function lying(byzantine: number, attack = 'gauss:10'): Pair {
  const scheme = { queries: 12, byzantine, workers: 2 * (12 + byzantine) - 1 }
  const cell = { groups: 1000, attack }
  return [
    { scheme, ...cell },
    { scheme: { ...scheme, preset: 'aaai22' }, ...cell },
  ]
}

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

/** Answers to lost queries, by one way. */
export interface ParmRow {
  model: ModelName
  way: 'trained' | 'sum' | 'parity' | 'memory' | 'model'
  /** K; undefined where groups do not matter. */
  queries?: number
  /** Shares of answers with the model's own label, and with the right one. */
  agreement: Share
  right: Share
}

interface Tables {
  shifted?: Shifted[]
  changes?: Changed[]
  domains?: Record<string, Figures>
  parm?: ParmRow[]
  /** Of two liars, by model and attack. */
  verified?: Record<string, IntegrityLevel[]>
}

/** Cells by `key`, and tables. */
export type Results = Record<string, Measured> & Tables

const FILE = 'build/accuracy.json'

export function kept(): Results {
  try {
    return JSON.parse(readFileSync(FILE, 'utf8'))
  } catch {
    return {}
  }
}

/** Reads before it writes: another process may have added cells. */
export function keep(name: string, measured: Measured | Tables[keyof Tables]): void {
  mkdirSync('build', { recursive: true })
  writeFileSync(FILE, JSON.stringify({ ...kept(), [name]: measured }, null, 1))
}

/** The same model, which runs equal batches once: cells of one code have the same coded rows, whatever the locator and the lies. */
function runsOnce(model: OnnxModel) {
  const known = new Map<string, Float32Array>()
  return {
    signature: model.signature,
    hints: model.hints,
    async infer(rows: Float32Array, count: number): Promise<Float32Array> {
      const bytes = new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength)
      const batch = createHash('sha1').update(bytes).digest('base64')
      const answers = known.get(batch) ?? (await model.infer(rows, count)).slice()
      known.set(batch, answers)
      return answers
    },
    close: () => model.close(),
  }
}

/** A model with its test images: the first 1,000, and all 10,000. */
export async function openBench(core: Core, name: ModelName) {
  const model = runsOnce(await OnnxModel.load(await readModel(`models/${name}.onnx`)))
  const { shape } = model.signature.inputs[0]
  const load = async (set: string) => ({
    inputs: await loadInputs(`data/${set}-images.npy`, shape),
    labels: await loadLabels(`data/${set}-labels.npy`),
  })
  const [few, all] = [await load(`${models[name]}-1000`), await load(models[name])]
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
  /** Measures a cell that is not kept, and keeps it. */
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
  return { model, all, load, measure }
}

function shortened({ drawn, ...rest }: Evaluation, paper?: Evaluation): Measured {
  return {
    ...rest,
    guess: mean(drawn.guess.map(({ value }) => value)),
    overGuess: pairedDifference(drawn.all, drawn.guess),
    ...(paper && { overPaper: pairedDifference(drawn.all, paper.drawn.all) }),
  }
}
