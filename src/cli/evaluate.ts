/** approxifer evaluate --all: the accuracy of coded inference on the user's model and data, in tables. */

import { basename } from 'node:path'
import type { Policy } from '../base/choices'
import { ApproxiferError } from '../base/errors'
import { doubtsOf, type OutputKind } from '../base/output-kind'
import { FIRST_ANSWERS, FirstAnswers } from '../base/refutation'
import { rowShape } from '../base/tensor'
import { Codec, type CodecOptions } from '../codec/codec'
import type { Core } from '../core/core'
import { loadCore } from '../core/load'
import { type ChosenCode, compareCodes } from '../evaluate/compare-codes'
import { evaluate } from '../evaluate/evaluate'
import type { EvaluationProgress, Rightness } from '../evaluate/experiment'
import { OwnAnswers } from '../evaluate/model'
import { recommend, type Wishes } from '../evaluate/recommend'
import { type Saving, SavingTrial, whyNothingSaved } from '../evaluate/saving'
import { evaluateVerified, recommendVerified, type Verified } from '../evaluate/verified'
import type { Features } from '../memory/memory'
import { abilitiesOf } from '../predictor/abilities'
import type { OnnxModel } from '../workers/onnx/model'
import { readModel } from '../workers/onnx/model-file'
import { loadCodes } from './code-files'
import { codesTable } from './codes-table'
import { firstFigures, gridTable, type Result, recommendation, resultTable, verifiedTable } from './figures'
import { asOptions, loadModel, type ModelOptions } from './files'
import { InputFile, loadLabels } from './npy'
import { ProgressBar, RemainingTime, TimedModel } from './progress'
import { beginSaving, endSaving, savingText } from './saving'
import { note, wrap } from './terminal'

interface Arguments extends CodecOptions, ModelOptions, Wishes, Rightness {
  inputs: string
  /** A file of labels. Without labels, answers are compared with the model's own. */
  labels?: string
  /** Codes by name and files with a user's own, to be compared; see `codesOf`. */
  codes?: readonly string[]
  attack: string
  groups: number
  memory?: number
  features?: Features
  policy?: Policy
  minConfidence: number
  learn?: number
  /** Values of K and of S: every pair of them is measured. */
  grid?: { queries: number[]; stragglers: number[] }
  /** How many inputs, in the order of the file, are the stream that the memory is tried on (reuse.maxError). 0: none. */
  stream: number
  seed: number
  core?: 'wasm' | 'js'
  json?: boolean
}

/** The model and the data, which all schemes of a run share. */
interface Data {
  name: string
  warnings: readonly string[]
  model: TimedModel
  inputs: InputFile
  own: OwnAnswers
  labels: number[] | undefined
  /** Why the memory cannot answer any query of this model; undefined where it can. */
  whyNot: string | undefined
}

/** @param verdict  what --json prints besides */
export async function evaluateCommand(path: string, options: Arguments, verdict?: object): Promise<void> {
  const core = await loadCore({ prefer: options.core })
  const codes = options.codes && (await chosenCodes(options.codes, options))
  const codecs = schemes(options).map((scheme) => new Codec(core, scheme))
  const model = await loadModel(path, await readModel(path), options)
  const progress = new ProgressBar(!options.json)
  let inputs: InputFile | undefined
  let measured: Measurements
  try {
    const { why, whyNotEqual, right } = abilitiesOf(model, options.right)
    if (why)
      throw new ApproxiferError(
        'MODEL',
        `there is nothing to evaluate, since it is served without a code: ${asOptions(why)}`,
      )
    inputs = await InputFile.open(options.inputs, rowShape(model.signature.inputs))
    const labels = options.labels === undefined ? undefined : await loadLabels(options.labels)
    const timed = new TimedModel(model)
    const own = new OwnAnswers(timed, inputs)
    const warnings = [...model.warnings, ...doubtsOf(right), ...(await refuted(model, right, own, inputs.length))]
    if (!options.json) announce(basename(path), warnings, codecs, options.groups)
    const whyNot = whyNothingSaved(model, options.features, whyNotEqual)
    const data = { name: basename(path), warnings, model: timed, inputs, labels, own, whyNot }
    if (codes) return await printCodes(codes, data, core, options, progress)
    measured = await measureAll(data, core, codecs, options, progress)
  } finally {
    progress.stop()
    await Promise.all([inputs?.close(), model.close()])
  }
  print(measured, options, verdict)
}

/** Sentences about outputs whose first answers contradict how they are read (as class scores, for instance). */
async function refuted(
  { signature }: OnnxModel,
  right: readonly OutputKind[],
  own: OwnAnswers,
  inputs: number,
): Promise<string[]> {
  const first = new FirstAnswers(signature.outputs, right, () => {})
  const count = Math.min(FIRST_ANSWERS, inputs)
  for (const answer of await own.of([...Array(count).keys()])) first.see(answer)
  return [first.against() ?? []].flat()
}

interface Measurements {
  results: Result[]
  verified: Verified | undefined
  saving: Saving | { why: string } | undefined
}

/** Measures a part of the stream first, then the schemes, then the rest of the stream: each has some figures within seconds. */
async function measureAll(
  data: Data,
  core: Core,
  codecs: readonly Codec[],
  options: Arguments,
  progress: ProgressBar,
): Promise<Measurements> {
  const { whyNot } = data
  const trial = options.stream && !whyNot ? new SavingTrial({ ...options, ...data, core }) : undefined
  if (trial) await beginSaving(trial, !options.json)
  const results: Result[] = []
  for (const codec of codecs) results.push(await measure(data, codec, options, progress))
  const liars = options.byzantine
  const verified = liars ? await evaluateVerified({ ...options, ...data, core, liars }) : undefined
  const saving = trial && (await endSaving(trial, progress))
  return { results, verified, saving: saving ?? (whyNot && options.stream ? { why: whyNot } : undefined) }
}

function print({ results, verified, saving }: Measurements, options: Arguments, verdict?: object): void {
  const measured = results.map((each) => ({ ...each.scheme, code: each.code, memory: each.memory, evaluation: each }))
  const candidates = results.some(({ scheme }) => scheme.byzantine) ? [] : recommend(measured, options)
  if (options.json) {
    const shown = options.grid ? { results } : results[0]
    console.log(
      JSON.stringify(
        { ...shown, candidates, ...(verified && { verified }), ...(saving && { saving }), ...verdict },
        null,
        2,
      ),
    )
    return
  }
  if (verified) printVerified(verified, results[0])
  console.log(options.grid ? gridTable(results) : resultTable(results[0]))
  if (candidates.length) console.log(`\n${recommendation(results[0], candidates, options)}`)
  if (saving) console.log(`\n${savingText(saving)}`)
}

/** Prints warnings and what is about to be measured to stderr: stdout, with the figures, may be a file. */
function announce(name: string, warnings: readonly string[], codecs: readonly Codec[], groups: number): void {
  for (const warning of warnings) note(`approxifer: warning: ${warning}`)
  const [{ scheme }] = codecs
  const what = codecs.length > 1 ? `${codecs.length} schemes` : `K = ${scheme.queries}, S = ${scheme.stragglers}`
  note(`${name}: measuring ${what}, ${groups} groups${codecs.length > 1 ? ' each' : ''} ...`)
}

/** Prints what `createPredictor` would cost where workers may lie; the paper's code, its rival, is printed after it. */
function printVerified(verified: Verified, { scheme }: Result): void {
  const { workers, queries, stragglers, byzantine } = scheme
  const { integrity, why } = recommendVerified(verified, { extra: workers / queries - 1 })
  console.log(`${verifiedTable(verified)}\n${wrap(`recommended: ${why}`)}`)
  const use = `scheme: { queries: ${queries}, stragglers: ${stragglers}, byzantine: ${byzantine} }`
  console.log(`${wrap(`  createPredictor({ model, ${use}, verify: { integrity: ${integrity} } })`, 2)}\n`)
}

/** Options that several codes cannot share: each has its own decoder and locator, and none has a memory. */
const NOT_COMPARED = ['grid', 'preset', 'decoder', 'locator', 'policy', 'memory', 'features', 'learn'] as const

/** @throws RangeError for an option that has no meaning for codes alone */
async function chosenCodes(codes: readonly string[], options: Arguments): Promise<ChosenCode[]> {
  const extra = NOT_COMPARED.find((name) => options[name] !== undefined)
  if (extra) throw new RangeError(`${extra}: expected none where codes are compared, got one`)
  return loadCodes(codes)
}

async function printCodes(codes: ChosenCode[], data: Data, core: Core, options: Arguments, progress: ProgressBar) {
  const start = performance.now()
  const { model, inputs, labels, own, name, warnings } = data
  const { queries, stragglers = 0, byzantine = 0, workers, points, groups, attack, seed, right } = options
  const compared = await compareCodes({
    ...{ core, model, inputs, labels, own, codes, groups, attack, seed, right },
    scheme: { queries, stragglers, byzantine, workers, points },
    follow: (code) => shownBy(progress, model, `${code}, `, performance.now()),
  })
  progress.stop()
  const seconds = (performance.now() - start) / 1000
  const against = labels ? ('labels' as const) : ('model' as const)
  const sizes = { queries, stragglers, byzantine, groups, attack, seed, seconds }
  const measured = { model: name, warnings, against, ...sizes, ...compared }
  console.log(options.json ? JSON.stringify(measured, null, 2) : codesTable(measured))
}

function schemes(options: Arguments): CodecOptions[] {
  const { grid, queries, stragglers, byzantine, workers, points, preset, code, decoder, locator } = options
  if (grid && workers !== undefined)
    throw new RangeError('workers: expected none with --grid, which has schemes of its own')
  const shared = { byzantine, workers, points, preset, code, decoder, locator }
  if (!grid) return [{ ...shared, queries, stragglers }]
  return grid.queries.flatMap((K) => grid.stragglers.map((S) => ({ ...shared, queries: K, stragglers: S })))
}

async function measure(data: Data, codec: Codec, options: Arguments, progress: ProgressBar): Promise<Result> {
  const start = performance.now()
  const { name, warnings, model, inputs, labels, own } = data
  const { groups, minConfidence, attack, seed } = options
  const { memory, policy, features, learn, right } = options
  const { queries, stragglers, byzantine, workers, points } = codec.scheme
  const settings = { groups, minConfidence, attack, seed }
  const at = options.grid ? `K = ${queries}, S = ${stragglers}, ` : ''
  const evaluation = await evaluate({
    ...settings,
    ...{ codec, model, inputs, labels, own },
    ...{ memory, policy, features, learn, right },
    onProgress: shownBy(progress, model, at, start, schemes(options).length),
  })
  const { locator, drawn: _, ...figures } = evaluation
  return {
    model: name,
    warnings,
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

/** @param at  names the scheme, where several are measured; else ''  @param start  when its measurement began  @param count  of schemes */
function shownBy(progress: ProgressBar, model: TimedModel, at: string, start: number, count = 1) {
  const remaining = new RemainingTime(model)
  let stage = ''
  return (reached: EvaluationProgress) => {
    const left = remaining.step(reached)
    if (stage !== reached.stage) progress.start(`${at}${reached.stage}`, reached.total, start)
    stage = reached.stage
    progress.update(reached.done, left, count)
    progress.show(left, () => firstFigures(reached, at, progress.seconds, model))
  }
}
