/** approxifer evaluate: accuracy of coded inference on a model and data of the user's. */

import { basename } from 'node:path'
import { Codec, type CodecOptions } from '../codec/codec'
import { loadCore } from '../core/core'
import type { LabelAxis } from '../criterion'
import { evaluate } from '../evaluate/evaluate'
import type { BatchModel } from '../evaluate/model'
import { type Candidate, recommend, type Wishes } from '../evaluate/recommend'
import type { Features } from '../history/memory'
import type { Policy } from '../history/worth'
import { rowShape } from '../tensor'
import { readModel } from '../workers/local'
import { gridTable, type Result, recommendation, resultTable } from './figures'
import { loadModel, type ModelOptions } from './model'
import { loadInputs, loadLabels } from './npy'
import { Progress } from './progress'
import { checkReport, writeReport } from './report'
import { note } from './terminal'

interface Options extends CodecOptions, ModelOptions, Wishes {
  inputs: string
  /** Without, agreement with the model itself is measured. */
  labels?: string
  labelAxis?: LabelAxis
  tolerance?: number
  attack: string
  groups: number
  memory?: number
  grouping: string
  features?: Features
  policy?: Policy
  minConfidence: number
  learn?: number
  /** Queries and stragglers to combine. */
  grid?: { queries: number[]; stragglers: number[] }
  report?: string
  seed: number
  core?: 'wasm' | 'js'
  json?: boolean
}

/** What all schemes are measured on. */
interface Subject {
  name: string
  model: BatchModel & { readonly warnings: readonly string[] }
  inputs: Float32Array[]
  labels?: number[]
}

export async function evaluateCommand(path: string, options: Options): Promise<void> {
  const core = await loadCore({ prefer: options.core })
  const codecs = schemes(options).map((scheme) => new Codec(core, scheme))
  if (options.report) await checkReport(options.report)
  const model = await loadModel(await readModel(path), options)
  const results: Result[] = []
  const progress = new Progress(!options.json)
  try {
    const [inputs, labels] = await Promise.all([
      loadInputs(options.inputs, rowShape(model.signature.inputs)),
      options.labels === undefined ? undefined : loadLabels(options.labels),
    ])
    if (!options.json) announce(basename(path), model.warnings, codecs, options.groups)
    const subject = { name: basename(path), model, inputs, labels }
    for (const codec of codecs) results.push(await measure(subject, codec, options, progress))
  } finally {
    progress.stop()
    await model.close()
  }
  const candidates = results.some(({ scheme }) => scheme.byzantine) ? [] : recommend(results.map(measurement), options)
  if (!options.json) print(results, candidates, options)
  if (options.report) await writeReport(options.report, results, candidates, options)
  if (options.json) {
    console.log(JSON.stringify(options.grid ? { results, candidates } : { ...results[0], candidates }, null, 2))
  } else if (options.report) console.log(`\nreport: ${options.report}/report.md`)
}

/** On stderr, since the figures may go to a file. */
function announce(name: string, warnings: readonly string[], codecs: readonly Codec[], groups: number): void {
  for (const warning of warnings) note(`approxifer: warning: ${warning}`)
  const [{ scheme }] = codecs
  const what = codecs.length > 1 ? `${codecs.length} schemes` : `K = ${scheme.queries}, S = ${scheme.stragglers}`
  note(`${name}: measuring ${what}, ${groups} groups${codecs.length > 1 ? ' each' : ''} ...`)
}

function print(results: readonly Result[], candidates: readonly Candidate[], options: Options): void {
  console.log(options.grid ? gridTable(results) : resultTable(results[0]))
  if (candidates.length) console.log(`\n${recommendation(results[0], candidates, options)}`)
}

/** The schemes to measure: one, or all of the grid. */
function schemes(options: Options): CodecOptions[] {
  const { grid, queries, stragglers, byzantine, workers, points, preset, code, decoder, locator } = options
  if (grid && workers !== undefined)
    throw new RangeError('workers: expected none with --grid, which has schemes of its own')
  const shared = { byzantine, workers, points, preset, code, decoder, locator }
  if (!grid) return [{ ...shared, queries, stragglers }]
  return grid.queries.flatMap((K) => grid.stragglers.map((S) => ({ ...shared, queries: K, stragglers: S })))
}

async function measure(subject: Subject, codec: Codec, options: Options, progress: Progress): Promise<Result> {
  const start = performance.now()
  const { name, model, inputs, labels } = subject
  const { groups, grouping, minConfidence, attack, seed } = options
  const { queries, stragglers, byzantine, workers, points } = codec.scheme
  const settings = { groups, grouping, minConfidence, attack, seed }
  const { memory, policy, features, learn, labelAxis, tolerance } = options
  const at = options.grid ? `K = ${queries}, S = ${stragglers}, ` : ''
  const { locator, ...evaluation } = await evaluate({
    ...settings,
    model: watched(model, inputs.length, at, progress),
    codec,
    inputs,
    labels,
    memory,
    policy,
    features,
    learn,
    labelAxis,
    tolerance,
    onProgress(done) {
      if (done === 1) progress.start(`${at}groups`, groups)
      progress.update(done)
    },
  })
  const { groups: _, ...figures } = evaluation
  return {
    model: name,
    warnings: model.warnings,
    against: labels ? 'labels' : 'model',
    scheme: { queries, stragglers, byzantine, workers, points },
    code: codec.code,
    decoder: codec.decoder,
    locator: locator ? { name: codec.locator, ...locator } : codec.locator,
    ...settings,
    ...figures,
    seconds: (performance.now() - start) / 1000,
  }
}

/** The model, whose first `inputs` rows are its own answers to all inputs: there is nothing else to show meanwhile. */
function watched(model: BatchModel, inputs: number, at: string, progress: Progress): BatchModel {
  let done = 0
  return {
    signature: model.signature,
    async infer(rows, count) {
      if (!done) progress.start(`${at}inputs`, inputs)
      const answers = await model.infer(rows, count)
      if (done < inputs) progress.update(done + count)
      done += count
      return answers
    },
  }
}

const measurement = (result: Result) => ({
  ...result.scheme,
  code: result.code,
  memory: result.memory,
  evaluation: result,
})
