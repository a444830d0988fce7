/**
 * npm run bench -- domains [--json]: what the memory recovers of data that are no images, and how well it knows: the first
 * queries are remembered as the predictor would, 3,000 others recovered, each graded by its late answer; three orders at random,
 * medians. What is not there is left out: images take `npm run data`.
 */

import { existsSync } from 'node:fs'
import { seeded } from '../../src/base/random'
import { loadInputs } from '../../src/cli/npy'
import { table } from '../../src/cli/table'
import { loadCore } from '../../src/core/load'
import { answersOf } from '../../src/evaluate/model'
import { calibrationError, reliability } from '../../src/evaluate/statistics'
import type { Recollection } from '../../src/memory/memory'
import { OnnxModel } from '../../src/workers/onnx/model'
import { readModel } from '../../src/workers/onnx/model-file'
import { median } from '../shared/measure'
import { newExperience } from '../shared/models'

const MIN_CONFIDENCE = 0.9
const ORDERS = 3

interface Domain {
  name: string
  model: string
  inputs: string
  remembered: number
}

const domain = (name: string, remembered: number, folder = 'test/fixtures'): Domain => {
  return { name, model: `${folder}/${name}.onnx`, inputs: `${folder}/${name}-inputs.npy`, remembered }
}
const images = (name: string, model: string, remembered: number): Domain => {
  return { name, model: `models/${model}.onnx`, inputs: `data/${name}-images.npy`, remembered }
}

const domains = [
  domain('cancer', 200),
  domain('mixed-units', 600),
  domain('checker', 600),
  domain('spoken-digits', 600, 'data/domains'), // 16 MB, not in the repository
  domain('friedman', 600),
  images('mnist', 'mnist-lenet', 1000),
  images('fashion', 'fashion-lenet', 1000),
  images('cifar', 'cifar-resnet8', 1000),
]

export interface Figures {
  /** Share of recovered answers that are right. */
  agreement: number
  /** Share of at least MIN_CONFIDENCE, and how often these are right. */
  sure: number
  agreementSure: number
  calibrationError: number
  /** Variance explained, of the first output: where there is no label. */
  explained: number
}

async function run({ model: path, inputs: file, remembered }: Domain): Promise<Figures> {
  const core = await loadCore()
  const model = await OnnxModel.load(await readModel(path))
  const inputs = await loadInputs(file, model.signature.inputs[0].shape)
  const own = await answersOf(model, inputs)
  const all: Figures[] = []
  for (let order = 1; order <= ORDERS; order++) {
    const chosen = seeded(order).choose(inputs.length, inputs.length)
    const experience = newExperience(core, model.signature)
    for (const i of chosen.slice(0, remembered)) {
      experience.confidence.observe(own[i])
      Array.from(experience.train(inputs[i], own[i]))
    }
    const recovered = chosen.slice(remembered, remembered + 3000).map((i) => {
      const recalled = { ...(experience.recall(inputs[i]) as Recollection), missing: 1 }
      const confidence = experience.confidence.of(recalled) ?? 0
      const right = experience.confidence.grade(recalled, own[i]) === true // by the answer that comes late
      return { confidence, right, answer: recalled.answer, own: own[i] }
    })
    const share = (some: { right: boolean }[]) => some.filter(({ right }) => right).length / some.length
    const sure = recovered.filter(({ confidence }) => confidence >= MIN_CONFIDENCE)
    const centre = recovered.reduce((sum, each) => sum + each.own[0], 0) / recovered.length
    const errors = recovered.reduce((sum, each) => sum + (each.own[0] - each.answer[0]) ** 2, 0)
    const spread = recovered.reduce((sum, each) => sum + (each.own[0] - centre) ** 2, 0)
    all.push({
      agreement: share(recovered),
      sure: sure.length / recovered.length,
      agreementSure: share(sure),
      calibrationError: calibrationError(reliability(recovered)),
      explained: 1 - errors / spread,
    })
  }
  await model.close()
  const middle = (figure: keyof Figures) => median(all.map((each) => each[figure]))
  return {
    agreement: middle('agreement'),
    sure: middle('sure'),
    agreementSure: middle('agreementSure'),
    calibrationError: middle('calibrationError'),
    explained: middle('explained'),
  }
}

/** Figures of all domains whose data are there. @param only  names; default all */
export async function measureDomains(only: readonly string[] = [], tell: (row: string[]) => void = () => {}) {
  const results: Record<string, Figures> = {}
  for (const each of domains) {
    if ((only.length && !only.includes(each.name)) || !existsSync(each.inputs)) continue
    results[each.name] = await run(each)
    tell(domainRow([each.name, results[each.name]]))
  }
  return results
}

/** Columns and cells, for the terminal and for docs/appendix/accuracy.md; in %, but for counts and errors. */
export const domainHead = ['', 'remembered', 'right', 'sure', 'right when sure', 'calibration error', 'explained']

export function domainRow([name, figures]: [name: string, figures: Figures]): string[] {
  const percent = (value: number) => (Number.isFinite(value) ? (100 * value).toFixed(1) : '-') // JSON has null for NaN
  const { remembered } = domains.find((each) => each.name === name) as Domain
  const { agreement, sure, agreementSure, calibrationError, explained } = figures
  const shares = [agreement, sure, agreementSure].map(percent)
  return [name, `${remembered}`, ...shares, calibrationError.toFixed(3), percent(explained)]
}

export default async function domainsBench(json: boolean, only: string[]): Promise<void> {
  const results = await measureDomains(only, (row) => json || console.error(row.join('; ')))
  if (json) return console.log(JSON.stringify(results, null, 2))
  const rows = table(domainHead)
  for (const each of Object.entries(results)) rows.push(domainRow(each))
  console.log(`${rows}\nin %, but for counts and errors`)
}
