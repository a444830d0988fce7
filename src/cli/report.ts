/** What evaluate measured, as Markdown with plots: SVG by Vega-Lite, an optional peer. */

import { access, constants, mkdir, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { TopLevelSpec } from 'vega-lite'
import { type Candidate, lateSentence, type Wishes, worthOf } from '../evaluate/recommend'
import type { Saving } from '../evaluate/saving'
import { type Bin, sureCells } from '../evaluate/statistics'
import {
  baseline,
  candidateHead,
  candidateRow,
  gridHead,
  gridRow,
  outputRows,
  percent,
  quantity,
  type Result,
  verdict,
} from './figures'
import { savingHead, savingRow, savingTitle } from './saving'

export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/**
 * Draws something and looks whether the folder can be written, so that this is known before hours of measuring.
 * Writes nothing: what fails afterwards should leave no empty folder.
 *
 * @throws TypeError where there is no Vega, RangeError where the folder cannot be
 */
export async function checkReport(folder: string): Promise<void> {
  await svg({ data: { values: [] }, mark: 'point' })
  let nearest = resolve(folder)
  while (!(await stat(nearest).catch(() => undefined))) nearest = dirname(nearest)
  try {
    await access(nearest, constants.W_OK)
    if ((await stat(nearest)).isDirectory()) return
  } catch {}
  throw new RangeError(`--report ${folder}: expected a folder that can be written, got ${nearest}`)
}

export async function writeReport(
  folder: string,
  results: readonly Result[],
  candidates: readonly Candidate[],
  wishes: Wishes,
  saving?: Saving | { why: string },
): Promise<void> {
  await mkdir(folder, { recursive: true })
  const confident = results.filter(({ confidence }) => confidence)
  const plots: Record<string, TopLevelSpec> = {
    'accuracy.svg': accuracyPlot(results),
    ...(confident.length && { 'confidence.svg': reliabilityPlot(confident.map(series)) }),
  }
  for (const [name, spec] of Object.entries(plots)) await writeFile(join(folder, name), await svg(spec))
  const text = [
    ...accuracyPart(results),
    ...confidencePart(confident),
    ...candidatePart(results[0], candidates, wishes),
    ...(saving && 'levels' in saving ? savingPart(saving) : []),
  ]
  await writeFile(join(folder, 'report.md'), `${text.join('\n\n')}\n`)
}

function accuracyPart(results: readonly Result[]): string[] {
  const [first] = results
  const { model, code, decoder, groups, memory, seed } = first
  return [
    `# ${model}`,
    `${baseline(first)}. Code ${code}, decoder ${decoder}, memory ${memory}; ${groups} groups, seed ${seed}. ` +
      'In every group S random results are missing; "lost only" are the queries whose own answer is, "guessing" is not to code at all.',
    markdownTable(gridHead, results.map(gridRow)),
    `![${quantity(first)}](accuracy.svg)`,
    ...(first.outputs ? [markdownTable(['right where all outputs are', ''], outputRows(first.outputs))] : []),
  ]
}

function confidencePart(results: readonly Result[]): string[] {
  if (!results.length) return []
  const head = ['K', 'S', 'recovered answers', 'agree', 'Brier skill', 'calibration error', 'sure', 'agree when sure']
  return [
    '## What recovered answers say of their own worth',
    'The confidence is learned from late answers alone; agreement is with the model’s own label.',
    markdownTable(head, results.map(confidenceRow)),
    '![confidence](confidence.svg)',
  ]
}

function candidatePart(first: Result, candidates: readonly Candidate[], wishes: Wishes): string[] {
  if (!candidates.length) return []
  const sentences = [verdict(candidates, wishes), worthOf(candidates), lateSentence(candidates)].filter(Boolean)
  return [
    '## Which scheme',
    `${sentences.join('. ')}.`,
    markdownTable(candidateHead(first), candidates.map(candidateRow)),
  ]
}

function savingPart(saving: Saving): string[] {
  const rows = saving.levels.map((level) => savingRow(level, saving))
  return ['## Answers before asking', `${savingTitle(saving)}.`, markdownTable(savingHead, rows), `${saving.advice}.`]
}

function confidenceRow({ scheme, confidence }: Result): string[] {
  if (!confidence) return []
  const { tested, agreement, brierSkill, calibrationError } = confidence
  const size = [scheme.queries, scheme.stragglers, tested].map(String)
  const fit = [brierSkill, calibrationError].map((value) => value.toFixed(3))
  const [sure, agree = '-'] = sureCells(confidence)
  return [...size, percent(agreement), ...fit, sure, agree]
}

const series = ({ scheme, confidence }: Result) => ({
  name: `K = ${scheme.queries}, S = ${scheme.stragglers}`,
  bins: confidence?.bins ?? [],
})

/** Accuracy, or agreement, of all queries against the overhead, and of guessing what is lost. */
function accuracyPlot(results: readonly Result[]): TopLevelSpec {
  const values = results.flatMap(({ scheme, accuracy, rivals }) => {
    const { queries, stragglers, workers } = scheme
    const at = { overhead: workers / queries, label: `${queries}, ${stragglers}` }
    return [
      { ...at, name: 'coded', accuracy: accuracy.all, low: accuracy.allCi95[0], high: accuracy.allCi95[1] },
      { ...at, name: 'lost answers guessed', accuracy: rivals.guessLost },
    ]
  })
  const x = { field: 'overhead', type: 'quantitative', title: 'workers per query', scale: { zero: false } } as const
  const y = {
    field: 'accuracy',
    type: 'quantitative',
    title: `${quantity(results[0])}, all queries`,
    scale: { zero: false },
  } as const
  return {
    width: 460,
    height: 300,
    data: { values },
    layer: [
      {
        mark: { type: 'rule', strokeDash: [4, 4], color: 'gray' },
        encoding: { y: { datum: results[0].against === 'labels' ? results[0].accuracy.base : 1 } },
      },
      { mark: { type: 'point', filled: true, size: 60 }, encoding: { x, y, color: { field: 'name', title: null } } },
      { mark: 'rule', encoding: { x, y: { field: 'low', type: 'quantitative' }, y2: { field: 'high' } } },
      {
        transform: [{ filter: 'datum.name == "coded"' }],
        mark: { type: 'text', dx: 6, align: 'left', baseline: 'bottom' },
        encoding: { x, y, text: { field: 'label' } },
      },
    ],
  }
}

/** Stated confidence against agreement, bins of equal mass; the diagonal is the truth. */
export function reliabilityPlot(all: readonly { name: string; bins: readonly Bin[] }[]): TopLevelSpec {
  const values = all.flatMap(({ name, bins }) => bins.map((bin) => ({ name, ...bin })))
  const share = { type: 'quantitative' as const, scale: { domain: [0, 1] } }
  return {
    width: 320,
    height: 320,
    layer: [
      {
        data: { values: [0, 1].map((at) => ({ confidence: at, right: at })) },
        mark: { type: 'line', strokeDash: [4, 4], color: 'gray' },
        encoding: { x: { field: 'confidence', ...share }, y: { field: 'right', ...share } },
      },
      {
        data: { values },
        mark: { type: 'line', point: true },
        encoding: {
          x: { field: 'confidence', title: 'stated confidence', ...share },
          y: { field: 'right', title: 'agreement with the model', ...share },
          color: { field: 'name', title: null, type: 'nominal' },
        },
      },
    ],
  }
}

const FONT = 'Helvetica, Arial, sans-serif'

/** @throws TypeError where vega and vega-lite are not installed */
export async function svg(spec: TopLevelSpec): Promise<string> {
  const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')]).catch((error) => {
    throw new TypeError(`plots need Vega: npm install vega vega-lite (${(error as Error).message.split('\n')[0]})`)
  })
  const config = { font: FONT, background: 'white', legend: { labelLimit: 0 }, ...spec.config }
  return new vega.View(vega.parse(compile({ ...spec, config }).spec)).toSVG()
}
