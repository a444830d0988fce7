/**
 * npm run bench -- codes [--json]: the codes of examples/codes beside ours and the paper's, MNIST LeNet, 100 groups, seed 1; writes the tables of
 * its README. A minute. `npm run bench -- accuracy --code ./mine.js [MODEL ...]` has the same for a code of your own, on three models. Both
 * need `npm run data`.
 */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadCodes } from '../../src/cli/code-files'
import { codesTable } from '../../src/cli/codes-table'
import { loadInputs, loadLabels } from '../../src/cli/npy'
import { codeOrFile } from '../../src/cli/options'
import { loadCore } from '../../src/core/load'
import {
  type CodeFigures,
  type CodesCompared,
  type CompareOptions,
  compareCodes,
} from '../../src/evaluate/compare-codes'
import type { NamedModule } from '../../src/evaluate/module-coding'
import { OnnxModel } from '../../src/workers/onnx/model'
import { readModel } from '../../src/workers/onnx/model-file'
import { models } from '../shared/models'
import { percent, within } from '../shared/report'

const FOLDER = 'examples/codes'
const ATTACK = 'gauss:10'
const GROUPS = 100
const STRAGGLING = { queries: 8, stragglers: 1, byzantine: 0 }
/** As in the scripts, where a module has a number of workers of its own. */
const LYING = { queries: 12, stragglers: 0, byzantine: 2, workers: 27 }

type Settings = Pick<CompareOptions, 'scheme'> & { groups: number }

/** The values of `--code`, and the other words. */
export function codesIn(words: readonly string[]): { codes: string[]; others: string[] } {
  const isValue = (at: number) => words[at - 1] === '--code'
  const codes = words.filter((_, at) => isValue(at)).reduce<string[]>((all, word) => codeOrFile(word, all), [])
  return { codes, others: words.filter((word, at) => word !== '--code' && !isValue(at)) }
}

async function measure(name: string, codes: readonly string[], settings: Settings): Promise<CodesCompared> {
  const model = await OnnxModel.load(await readModel(`models/${name}.onnx`))
  const data = `data/${models[name as keyof typeof models]}-1000`
  const inputs = await loadInputs(`${data}-images.npy`, model.signature.inputs[0].shape)
  const labels = await loadLabels(`${data}-labels.npy`)
  try {
    const shared = { core: await loadCore(), codes: await loadCodes(codes), attack: ATTACK, seed: 1 }
    return await compareCodes({ ...shared, model, inputs, labels, ...settings })
  } finally {
    await model.close()
  }
}

/** Prints a table for each model, with one straggler. */
export async function compareOnModels(codes: readonly string[], only: readonly string[], json: boolean): Promise<void> {
  const all: Record<string, CodesCompared> = {}
  for (const name of Object.keys(models)) {
    if (only.length && !only.includes(name)) continue
    const start = performance.now()
    all[name] = await measure(name, codes, { scheme: STRAGGLING, groups: GROUPS })
    const seconds = (performance.now() - start) / 1000
    const about = { model: name, warnings: [], against: 'labels' as const, attack: ATTACK, seed: 1, seconds }
    if (!json) console.log(`${codesTable({ ...all[name], ...about, ...STRAGGLING, groups: GROUPS })}\n`)
  }
  if (json) console.log(JSON.stringify(all, null, 2))
}

const all = ({ accuracy: { all, allCi95 } }: CodeFigures) => within(all, allCi95)
const nameOf = ({ kind, code }: CodeFigures) =>
  kind === 'module'
    ? `[${code.replace(/^.*\//, '')}](${code.replace(/^.*\//, '')})`
    : `${kind === 'ours' ? 'ours' : 'the paper’s'}: ${code}`

const tables: Record<string, (figures: CodeFigures) => string[]> = {
  '| stragglers | workers | all | lost only | nothing missing | worst set |': (each) => {
    const { recovered, nothingMissing, worstSet } = each.accuracy
    return [nameOf(each), `${each.workers}`, all(each), ...[recovered, nothingMissing, worstSet].map(percent)]
  },
  '| liars | workers | all | liars found | all found |': (each) => {
    return [nameOf(each), `${each.workers}`, all(each), percent(each.locator?.found), percent(each.locator?.exactSet)]
  },
}

export default async function examples(json: boolean): Promise<void> {
  const files = readdirSync(FOLDER).filter((file) => file.endsWith('.js') && file !== 'algebra.js')
  const paths = files.map((file) => join(FOLDER, file))
  const loaded = await loadCodes(paths)
  const isLocator = (at: number) => (loaded[at] as NamedModule).code.locate !== undefined
  const runs: [codes: string[], scheme: Settings['scheme']][] = [
    [paths.filter((path, at) => !isLocator(at) || path.endsWith('berrut.js')), STRAGGLING],
    [paths.filter((_, at) => isLocator(at)), LYING],
  ]
  const measured: CodesCompared[] = []
  for (const [i, [head, row]] of Object.entries(tables).entries()) {
    const [codes, scheme] = runs[i]
    const compared = await measure('mnist-lenet', codes, { scheme, groups: GROUPS })
    measured.push(compared)
    if (json) continue
    const rows = compared.codes.map((each) => `| ${row(each).join(' | ')} |`)
    write([head, head.replace(/[^|]+/g, '---'), ...rows])
  }
  if (json) console.log(JSON.stringify(measured, null, 2))
}

/** Replaces the table of the README that has this first line. */
function write(lines: readonly string[]): void {
  console.log(lines.join('\n'))
  const text = readFileSync(`${FOLDER}/README.md`, 'utf8')
  const at = text.indexOf(lines[0])
  writeFileSync(`${FOLDER}/README.md`, `${text.slice(0, at)}${lines.join('\n')}${text.slice(text.indexOf('\n\n', at))}`)
}
