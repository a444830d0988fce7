/** docs/appendix/liars.md: what bench liars measured, with a plot. */

import { readFileSync, writeFileSync } from 'node:fs'
import type { Verified } from '../../src/evaluate/verified'
import { median } from '../shared/measure'
import type { ModelName } from '../shared/models'
import { markdownTable, svg } from '../shared/report'
import { attacks, type Cell, keyOf, names, type Results } from './liars'
import type { Figures } from './liars-run'
import { CRAFTS } from './neighbours'

const TITLES: Record<ModelName, string> = {
  'mnist-lenet': 'MNIST',
  'fashion-lenet': 'Fashion',
  'cifar-resnet8': 'CIFAR',
}
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
/** Integrities of "What would pass"; attacks that hardly ever pass are left out. */
const SHOWN = [0.9, 0.97]
/** Attacks that are found as soon as `swap`, and are left out. */
const ALIKE = ['gauss:100', 'flip', 'runner-up', 'replay']
const percent = (share: number, digits = 1) => `${(100 * share).toFixed(digits)} %`

export async function report({ runs, passing, neighbours }: Results): Promise<void> {
  // Written by hand, with what benches sampled, sybils and signatures and tests printed.
  const [byHand] = /## Sampled verification.*/s.exec(readFileSync('docs/appendix/liars.md', 'utf8')) ?? ['']
  const figures = (cell: Partial<Cell> & { model: ModelName }): Figures[] =>
    (runs[keyOf(cell)] ?? []).filter((each) => each !== null)
  const each = (cell: Partial<Cell>, of: (all: Figures[], model: ModelName) => string) => {
    return names.map((model) => {
      const all = figures({ ...cell, model })
      return all.length ? of(all, model) : '-'
    })
  }
  const until = (all: readonly Figures[]) => {
    const lies = all.flatMap(({ lies }) => lies)
    const told = lies.filter((count) => count !== null).sort((a, b) => a - b)
    const never = lies.length - told.length
    if (!told.length) return `never, in ${lies.length} runs`
    const at = (share: number) => told[Math.ceil(share * told.length) - 1]
    return `${at(0.5)}, ${at(0.99)}${never ? ` (${never} of ${lies.length} never)` : ''}`
  }
  const middle = (all: readonly Figures[], of: (each: Figures) => number, digits: number) =>
    median(all.map(of)).toFixed(digits)
  const wrong = (all: readonly Figures[]) => {
    const count = (status: string) => sum(all.map((run) => run.wrong[status] ?? 0))
    return `${count('exact')}, ${count('checked')}, ${count('recovered')} of ${sum(all.map(({ queries }) => queries))}`
  }
  const framed = sum(Object.values(runs).flat().map((run) => run?.honestEjected ?? 0)) // biome-ignore format: one line
  const honest = { liars: 0, queries: 3000 }
  const scheme = (liars: number) => ({ queries: 8, byzantine: liars })
  const paper = { queries: 8, byzantine: 1, preset: 'aaai22' as const }
  const rivals: [string, Cell['options']][] = [
    ['verified, integrity .9', { verify: { integrity: 0.9 } }],
    ['duplicate and compare', { verify: { integrity: 1 }, memory: false }],
    ['the paper’s scheme', { scheme: paper }],
  ]
  const beside = (attack: string) => {
    const cell = { workers: 27, liars: attack === 'none' ? 0 : 1, attack, queries: 2000 }
    return rivals.map(([name, options]) => [
      name,
      ...each({ ...cell, options }, (all) => `+${middle(all, ({ extra }) => extra, 2)}; ${middle(all, ({ p50 }) => p50, 0)} / ${middle(all, ({ p99 }) => p99, 0)}; ${percent(sum(all.map((run) => sum(Object.values(run.wrong)))) / sum(all.map(({ queries }) => queries)), 2)}`), // biome-ignore format: one line
    ])
  }
  const heads = names.map((model) => TITLES[model])
  const levels = (model: ModelName, attack: string) => passing[`${model} ${attack}`] as Verified | undefined
  const extra = (cell: Partial<Cell>) => each(cell, (all) => middle(all, ({ extra }) => extra, 3))
  const kinds: [string, Partial<Cell>][] = [
    ...attacks
      .filter((attack) => !ALIKE.includes(attack))
      .map((attack): [string, Partial<Cell>] => [`one of nine: ${attack}`, { attack }]),
    ['one of nine: scaled, in one answer of ten', { attack: 'scaled', habit: 'tenth', queries: 15_000 }],
    ['one of nine: scaled, after 1,000 honest answers', { attack: 'scaled', habit: 'later', queries: 20_000 }],
    ...[2, 3].map((liars): [string, Partial<Cell>] => [`${liars} together: swap`, { liars, attack: 'swap' }]),
    ['3 together: scaled', { liars: 3, attack: 'scaled' }],
    ['one of 27: swap', { workers: 27, attack: 'swap' }],
    ['one of nine: swap, memory of 4,000', { memory: 4000, attack: 'swap' }],
  ]
  const all = Object.values(runs).flat()
  const queries = sum(all.map((run) => run?.queries ?? 0))
  const text = `# Workers that lie

This page shows how soon a lying worker is found, what passes until then, and what verification costs if nobody lies.

\`npm run data && npm run bench -- liars\` writes this page up to [Sampled verification](#sampled-verification), and prints every cell of its runs.

The bench runs the real predictor, memory and pool in simulated time. Workers give the answers of real models to 10,000 test images. An answer takes about 10 ms, 2 % of the answers take ten times as long, and one call in a thousand fails. Every second worker rounds like another runtime.
By default one worker of nine lies (\`byzantine: 1\`), \`verify.integrity\` is .9, and the memory begins with 1,000 answers. A cell is measured with at most ${Math.max(...Object.values(runs).map((each) => each.length))} seeds. In all ${all.length} runs with ${queries.toLocaleString('en')} queries, ${framed} honest workers were ejected.

## In one minute

The pool has 27 workers and gets 2,000 queries. "One swaps": one worker swaps the two largest values of its answers. A cell has: additional inferences per query; p50 / p99 in ms; share of answers whose label is not the model's own.

${markdownTable(
  ['', ...heads],
  [
    ...beside('none').map(([name, ...cells]) => [`nobody lies: ${name}`, ...cells]),
    ...beside('swap').map(([name, ...cells]) => [`one swaps: ${name}`, ...cells]),
  ],
)}

All wrong labels of *verified* are recovered answers to late queries. The paper's scheme approximates every answer. It waits for all but S of its coded queries, so its p99 is that of slow workers.

![additional inferences per query, nobody lies](liars.svg)

## How long until it is ejected

A cell has the number of a worker's lies before it is ejected: median, 99th percentile.

${markdownTable(
  ['', ...heads],
  kinds.map(([name, cell]) => [name, ...each({ ...cell, brief: true }, until)]),
)}

Liars of the kinds gauss:100, flip, runner-up and replay are found as soon as those of the kind swap. *Scaled* answers have all values times .9, and the right label. *Straddle* answers have an error of a thousandth of the answers' standard deviation, near the tolerance of the comparison. Such an error is no proof of a lie, and does no harm.

The next table counts wrong labels among \`exact\`, \`checked\` and \`recovered\` answers, in this order.

${markdownTable(
  ['', ...heads],
  [
    ['nobody lies, 20,000 queries', ...each({ liars: 0, queries: 20_000 }, wrong)],
    ['one worker swaps values, before and after its ejection', ...each({ attack: 'swap', queries: 3000 }, wrong)],
    ['one worker is an oracle', ...each({ attack: 'oracle', queries: 6000 }, wrong)],
  ],
)}

An *oracle* is a liar that knows the memory's predictions. It gives the memory's label where the memory is confident and wrong, and does not answer other queries. After the oracle's first missing answer the pool sends it no queries, as with any worker that hangs.

## What an honest pool pays

A cell has the additional inferences per query, including audits and hedges.

${markdownTable(
  ['', ...heads],
  [
    ...[0.9, 0.95].map((integrity) => [
      `integrity ${integrity}${integrity === 0.95 ? ' (default)' : ''}`,
      ...extra({ ...honest, options: { verify: { integrity } } }),
    ]),
    ['duplicate and compare', ...extra({ ...honest, options: { verify: { integrity: 1 }, memory: false } })],
    ...[2, 3].map((liars) => [
      `integrity .9, E = ${liars}`,
      ...extra({ ...honest, options: { verify: { integrity: 0.9 }, scheme: scheme(liars) } }),
    ]),
    ...[0, 4000].map((memory) => [
      `integrity .9, memory of ${memory.toLocaleString('en')} answers at first`,
      ...extra({ ...honest, memory }),
    ]),
  ],
)}

## What would pass

A cell counts lies with a wrong label that a memory of 1,000 pairs would confirm if the liar were never ejected. The first count is at integrity ${SHOWN.join('; the second at ')}. \`npx approxifer evaluate MODEL.onnx --byzantine 1\` counts such lies on your model. Lies of the kinds gauss:100 and flip hardly ever pass.

${markdownTable(
  ['', ...heads],
  PASSING.filter((attack) => !['gauss:100', 'flip'].includes(attack)).map((attack) => [
    attack,
    ...names.map((model) => {
      const shown = levels(model, attack)?.levels.filter(({ integrity }) => SHOWN.includes(integrity)) ?? []
      return shown.length ? `${shown.map(({ passed }) => passed).join('; ')} of ${shown[0].lies}` : '-'
    }),
  ]),
)}

## What a neighbour’s queries do

Callers with different \`tenant\`s do not influence each other's memory. Here a hostile caller has the victim's tenant, and sends five crafted queries for each query of the victim, 10,000 in all. A cell has: share of the victim's recoveries that are confident; number of confident ones that are wrong; calibration error.

${markdownTable(
  ['', ...heads],
  CRAFTS.filter((craft) => craft !== 'grey').map((craft) => [
    {
      none: 'no hostile caller',
      border: 'the victim’s images, changed just enough to get another label',
      outliers: 'the victim’s images, with values 1,000 times too large',
    }[craft],
    ...names.map((model) => {
      const measured = neighbours[`${model} ${craft}`]
      if (!measured) return '-'
      return `${percent(measured.sure)}; ${measured.wrong}; ${measured.error.toFixed(3)}`
    }),
  ]),
)}

Crafted queries mostly make the memory less often confident. One grey image changes little. If crafted values are 1,000 times too large, some of the victim's few confident recoveries are wrong. Give different tenants to callers that do not trust each other (\`limits.tenants\`).

${byHand}`
  const values = names.flatMap((model) =>
    rivals.flatMap(([name, options]) => {
      const all = figures({ workers: 27, liars: 0, attack: 'none', queries: 2000, options, model })
      return all.length ? [{ model: TITLES[model], name, extra: median(all.map(({ extra }) => extra)) }] : []
    }),
  )
  const plot = await svg({
    width: 420,
    height: { step: 14 },
    data: { values },
    mark: 'bar',
    encoding: {
      row: { field: 'model', type: 'nominal', title: null, sort: heads },
      y: { field: 'name', type: 'nominal', title: null, axis: null, sort: rivals.map(([name]) => name) },
      x: { field: 'extra', type: 'quantitative', title: 'additional inferences per query, nobody lies' },
      color: { field: 'name', type: 'nominal', title: null, sort: rivals.map(([name]) => name) },
    },
  })
  writeFileSync('docs/appendix/liars.md', text)
  writeFileSync('docs/appendix/liars.svg', plot)
}

export const PASSING = ['gauss:1', 'gauss:10', 'gauss:100', 'flip', 'swap', 'constant']
