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
const percent = (share: number, digits = 1) => `${(100 * share).toFixed(digits)} %`

export async function report({ runs, passing, neighbours }: Results): Promise<void> {
  // Written by hand, with what benches sampled and sybils printed.
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
    ['duplicate and compare (integrity 1)', { verify: { integrity: 1 }, memory: false }],
    ['the paper’s scheme, as published', { scheme: paper }],
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
  const text = `# Workers that lie

\`npm run data && npm run bench -- liars\` writes the tables of this page up to [Sampled verification](#sampled-verification).
The bench runs the real predictor, memory and pool in simulated time. Workers give the answers of real models to their 10,000 test images. An answer takes about 10 ms, 2 % of the answers take ten times as long, and one call in a thousand fails. Every second worker has another runtime, whose last digits differ.
By default one worker of nine lies, \`verify.integrity\` is .9, and the memory begins with 1,000 answers. A cell has at most ${Math.max(...Object.values(runs).map((all) => all.length))} seeds; "-" is not measured. Honest workers ejected: ${framed} in ${sum(Object.values(runs).map((all) => all.length))} runs and ${sum(
    Object.values(runs)
      .flat()
      .map((run) => run?.queries ?? 0),
  ).toLocaleString('en')} queries.

## In one minute

27 workers, 2,000 queries. A cell has: additional inferences per query; p50 / p99 in ms; share of answers whose label is not the model's own.

### Nobody lies

${markdownTable(['', ...heads], beside('none'))}

### One worker always swaps the two largest values

${markdownTable(['', ...heads], beside('swap'))}

The wrong labels of *verified* are recovered answers to late queries. The paper's scheme approximates every answer, and waits for all but S of its rows, so its p99 is that of slow workers.

![liars](liars.svg)

## How long until it is ejected

Number of a worker's lies before it is ejected: median, 99th percentile.

${markdownTable(
  ['one of nine, always', ...heads],
  attacks.map((attack) => [attack, ...each({ attack, brief: true }, until)]),
)}

*scaled*: values times .9, with the right label. *straddle*: an error of a thousandth of the answers' standard deviation, near the tolerance of the comparison; it proves nothing and does no harm.

${markdownTable(
  ['', ...heads],
  [
    [
      'scaled, in one answer of ten',
      ...each({ attack: 'scaled', habit: 'tenth', brief: true, queries: 15_000 }, until),
    ],
    [
      'scaled, only where the memory is unsure',
      ...each({ attack: 'scaled', habit: 'unsure', brief: true, queries: 15_000 }, until),
    ],
    [
      'scaled, after 1,000 honest answers',
      ...each({ attack: 'scaled', habit: 'later', brief: true, queries: 20_000 }, until),
    ],
    ...[2, 3].flatMap((liars) =>
      ['replay', 'swap', 'scaled'].map((attack) => [
        `E = ${liars}, together: ${attack}`,
        ...each({ liars, attack, brief: true }, until),
      ]),
    ),
    ...[18, 27].map((workers) => [`one of ${workers}: swap`, ...each({ workers, attack: 'swap', brief: true }, until)]),
    ...[0, 4000].map((memory) => [
      `${memory} answers remembered: swap`,
      ...each({ memory, attack: 'swap', brief: true }, until),
    ]),
  ],
)}

Wrong labels among exact, checked and recovered answers, while a worker swaps values and after its ejection: ${each(
    { attack: 'swap', queries: 3000 },
    wrong,
  )
    .map((told, i) => `${heads[i]} ${told}`)
    .join('; ')}.

An **oracle** knows the memory. The oracle gives the memory's wrong label where the memory is confident and wrong, and does not answer other queries: ${each(
    { attack: 'oracle', queries: 6000 },
    (all) => `${wrong(all)}, ${median(all.map(({ asked }) => asked[0]))} calls to it`,
  )
    .map((told, i) => `${heads[i]} ${told}`)
    .join(
      '; ',
    )}. At the oracle's first missing answer the pool restarts it and passes it over, as any worker that hangs.

## What an honest pool pays

Additional inferences per query, audits and hedges included.

${markdownTable(
  ['', ...heads],
  [
    ...[0.8, 0.9, 0.95, 0.97].map((integrity) => [
      `integrity ${integrity}`,
      ...each({ ...honest, options: { verify: { integrity } } }, (all) => middle(all, ({ extra }) => extra, 3)),
    ]),
    [
      'duplicate and compare',
      ...each({ ...honest, options: { verify: { integrity: 1 }, memory: false } }, (all) =>
        middle(all, ({ extra }) => extra, 3),
      ),
    ],
    ...[2, 3].map((liars) => [
      `E = ${liars}, integrity .9`,
      ...each({ ...honest, options: { verify: { integrity: 0.9 }, scheme: scheme(liars) } }, (all) =>
        middle(all, ({ extra }) => extra, 3),
      ),
    ]),
    ...[0, 4000].map((memory) => [
      `${memory} answers remembered at first, integrity .9`,
      ...each({ ...honest, memory }, (all) => middle(all, ({ extra }) => extra, 3)),
    ]),
    ['20,000 queries: wrong labels among exact, checked, recovered', ...each({ liars: 0, queries: 20_000 }, wrong)],
  ],
)}

## What would pass

Share of lies with a wrong label that the memory would confirm if the liar were never ejected, with 1,000 pairs in the memory (\`approxifer evaluate --byzantine 1\` measures it on your model). Lies of kind gauss:100 and flip hardly ever pass, and are left out.

${markdownTable(
  ['', ...SHOWN.map((level) => `integrity ${level}`)],
  names.flatMap((model) =>
    PASSING.filter((attack) => !['gauss:100', 'flip'].includes(attack)).flatMap((attack) => {
      const measured = levels(model, attack)
      if (!measured) return []
      const shares = measured.levels
        .filter(({ integrity }) => SHOWN.includes(integrity))
        .map(({ passed, lies }) => `${passed} of ${lies}`)
      return [[`${TITLES[model]}, ${attack}`, ...shares]]
    }),
  ),
)}

## What a neighbour’s queries do to one’s confidence

Callers with different \`tenant\`s do not influence each other's memory at all. Within one tenant, a hostile caller here sends five crafted queries for each of a victim's, 10,000 in all. A cell has: the victim's recoveries with the model's own label; share of confident recoveries, and number of wrong ones among them; calibration error.

${markdownTable(
  ['', ...heads],
  CRAFTS.map((craft) => [
    {
      none: 'no hostile caller',
      border: 'the victim’s images, moved just over the border to another label',
      outliers: 'the victim’s images, values 1,000 times too large',
      grey: 'one grey image',
    }[craft],
    ...names.map((model) => {
      const told = neighbours[`${model} ${craft}`]
      if (!told) return '-'
      return `${percent(told.agreement)}; ${percent(told.sure)}, ${told.wrong} wrong; ${told.error.toFixed(3)}`
    }),
  ]),
)}

Crafted queries mostly make the memory less often confident. Beside values 1,000 times too large, some of the few confident recoveries are wrong. Give callers that do not trust each other tenants of their own (\`limits.tenants\`).

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
