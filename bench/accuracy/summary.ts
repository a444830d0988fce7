/**
 * npm run bench -- summary [--json]: the table "A lost answer" of docs/appendix/performance.md. Eight queries, of which one is lost, on three
 * real models and all 10,000 test images of each: accuracy of all eight, of the lost query alone, and without a loss. Needs `npm run data`.
 */

import { loadInputs, loadLabels } from '../../src/cli/npy'
import { table } from '../../src/cli/table'
import { Codec, type CodecOptions } from '../../src/codec/codec'
import { loadCore } from '../../src/core/load'
import { evaluate } from '../../src/evaluate/evaluate'
import type { Evaluation } from '../../src/evaluate/scores'
import { OnnxModel } from '../../src/workers/onnx/model'
import { readModel } from '../../src/workers/onnx/model-file'
import { models } from '../shared/models'
import { byLikeness } from './likeness'

const size = { queries: 8, stragglers: 1 }
const ways: Record<string, { scheme: CodecOptions; memory: number; likeness?: boolean }> = {
  paper: { scheme: { ...size, preset: 'aaai22' }, memory: 0 },
  parity: { scheme: size, memory: 0 },
  likeness: { scheme: size, memory: 0, likeness: true },
  memory: { scheme: size, memory: 1000 },
}

export default async function summary(json: boolean): Promise<void> {
  const core = await loadCore()
  const results: Record<string, Record<string, Evaluation['accuracy'] & { guess: number }>> = {}
  for (const [name, data] of Object.entries(models)) {
    const model = await OnnxModel.load(await readModel(`models/${name}.onnx`))
    const inputs = await loadInputs(`data/${data}-images.npy`, model.signature.inputs[0].shape)
    const labels = await loadLabels(`data/${data}-labels.npy`)
    results[name] = {}
    for (const [way, { scheme, likeness, memory }] of Object.entries(ways)) {
      const codec = new Codec(core, scheme)
      const grouping = likeness ? byLikeness(core, inputs[0].length, 8, 16) : undefined
      const settings = { groups: 5000, sets: 0, policy: 'recover' as const, memory, grouping }
      const { accuracy, rivals } = await evaluate({ model, codec, inputs, labels, ...settings })
      results[name][way] = { ...accuracy, guess: rivals.guessLost }
    }
    await model.close()
  }
  if (json) return console.log(JSON.stringify(results, null, 2))
  const rows = table([
    'accuracy, %',
    'alone',
    'guess',
    'paper',
    'parity',
    'likeness',
    'memory',
    'nobody late: paper, ours',
  ])
  const percent = (share = 0) => (100 * share).toFixed(1)
  for (const [name, { paper, parity, likeness, memory }] of Object.entries(results)) {
    const whole = `${percent(paper.nothingMissing)}, ${percent(parity.nothingMissing)}`
    const all = [paper, parity, likeness, memory].map((way) => percent(way.all))
    rows.push([name, percent(paper.base), percent(parity.guess), ...all, whole])
    const lost = [parity, likeness, memory].map((way) => percent(way.recovered))
    rows.push(['  the lost one', '', '', '', ...lost, ''])
    const half = Math.max(...[paper, parity, likeness, memory].map(({ allCi95: [low, high] }) => (high - low) / 2))
    rows.push([`  95 % intervals: within ${percent(half)}`])
  }
  console.log(rows.toString())
}
