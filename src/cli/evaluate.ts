/** approxifer evaluate: accuracy of coded inference on a model and data of the user's. */

import { basename } from 'node:path'
import { SingleBar } from 'cli-progress'
import { Codec, type CodecOptions } from '../codec/codec'
import { loadCore } from '../core/core'
import { type Evaluation, evaluate, type Features } from '../evaluate/evaluate'
import type { Policy } from '../history/worth'
import { parseAttack } from '../workers/attacks'
import { readModel } from '../workers/local'
import { OnnxModel } from '../workers/onnx'
import { loadInputs, loadLabels } from './npy'
import { table } from './table'

interface Options extends Omit<CodecOptions, 'core'> {
  inputs: string
  labels: string
  attack: string
  groups: number
  memory: number
  grouping: string
  features?: Features
  policy: Policy
  minConfidence: number
  learn?: number
  seed: number
  core?: 'wasm' | 'js'
  json?: boolean
}

export async function evaluateCommand(path: string, options: Options): Promise<void> {
  const start = performance.now()
  const codec = new Codec(await loadCore({ prefer: options.core }), options)
  parseAttack(options.attack)
  const model = await OnnxModel.load(await readModel(path))
  const [first, ...others] = model.signature.inputs
  const shape = others.length ? undefined : first.shape
  const [inputs, labels] = await Promise.all([loadInputs(options.inputs, shape), loadLabels(options.labels)])
  for (const warning of model.warnings) console.error(`approxifer: warning: ${warning}`)
  const { groups, seed, attack, memory, features, grouping, policy, minConfidence, learn } = options
  const bar = new SingleBar({ format: 'groups {bar} {value}/{total}, {eta} s left', clearOnComplete: true })
  if (process.stderr.isTTY && !options.json) bar.start(groups, 0)
  const measured = await evaluate({
    model,
    codec,
    inputs,
    labels,
    groups,
    seed,
    attack,
    memory,
    features,
    grouping,
    policy,
    minConfidence,
    learn,
    onProgress: (n) => bar.update(n),
  }).finally(() => {
    bar.stop()
    return model.close()
  })
  const { queries, stragglers, byzantine, workers, points } = codec.scheme
  const { groups: _, accuracy, locator, ...rest } = measured
  const result = {
    model: basename(path),
    scheme: { queries, stragglers, byzantine, workers, points },
    code: codec.code,
    decoder: codec.decoder,
    locator: locator ? { name: codec.locator, ...locator } : codec.locator,
    groups,
    grouping,
    memory,
    policy,
    minConfidence,
    seed,
    accuracy,
    ...rest,
    seconds: (performance.now() - start) / 1000,
  }
  console.log(options.json ? JSON.stringify(result, null, 2) : tables(result, measured, attack))
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`
const interval = ([low, high]: [number, number]) => `${percent(low)} to ${percent(high)}`

interface Run {
  model: string
  scheme: Pick<Codec['scheme'], 'queries' | 'stragglers' | 'byzantine' | 'workers' | 'points'>
  groups: number
  policy: Policy
  minConfidence: number
  seed: number
  seconds: number
}

function tables(run: Run, measured: Evaluation, attack: string): string {
  const { accuracy, confidence, locator, rivals } = measured
  const { queries, stragglers, byzantine, workers, points } = run.scheme
  const overhead = `${(workers / queries).toFixed(2)}x; replication ${rivals.replicationWorkers}`
  const rows = table(['accuracy', '', '95 % interval'])
  const share = (name: string, part?: number, ci95?: [number, number]) =>
    rows.push([name, part === undefined ? '-' : percent(part), ci95 ? interval(ci95) : ''])
  share('the model alone', accuracy.base)
  share(`all queries, ${stragglers} missing, ${byzantine} lying`, accuracy.all, accuracy.allCi95)
  share('lost queries only', accuracy.recovered, accuracy.recoveredCi95)
  share('nothing missing', accuracy.nothingMissing)
  share('worst survivor set', accuracy.worstSet)
  share('no code, lost answers guessed', rivals.guessLost)
  if (rivals.memoryAlone) share('lost queries, memory alone', rivals.memoryAlone.accuracy, rivals.memoryAlone.ci95)
  if (rivals.sumParity) share('lost queries, a sum as parity', rivals.sumParity.accuracy, rivals.sumParity.ci95)
  if (confidence) {
    share('recovered answers that agree with the model', confidence.agreement)
    share(`those sure of it (confidence >= ${run.minConfidence})`, confidence.sure.share)
    share('agreement among these', confidence.sure.agreement)
    rows.push(['Brier skill over the base rate', confidence.brierSkill.toFixed(3), ''])
    rows.push(['calibration error', confidence.calibrationError.toFixed(3), ''])
  }
  if (run.policy !== 'recover') rows.push([`retries a query (${run.policy})`, measured.retriesPerQuery.toFixed(3), ''])
  if (locator) {
    rows.push(
      [`liars found (${attack})`, percent(locator.found), ''],
      ['groups with exactly the liars found', percent(locator.exactSet), ''],
      ['honest groups with somebody accused', percent(locator.falseAlarm), ''],
    )
  }
  return [
    `${run.model}: ${queries} queries on ${workers} workers (${overhead}), ${points} nodes`,
    rows.toString(),
    `${run.groups} groups, seed ${run.seed}, ${run.seconds.toFixed(1)} s`,
  ].join('\n')
}
