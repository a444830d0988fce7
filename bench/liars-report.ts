/** docs/liars.md: what bench liars measured, with a plot. */

import { readFileSync, writeFileSync } from 'node:fs'
import { markdownTable, svg } from '../src/cli/report'
import type { Verified } from '../src/evaluate/verified'
import type { ModelName } from './accuracy'
import { attacks, type Cell, keyOf, names, type Results } from './liars'
import type { Figures } from './liars-run'
import { median } from './measure'
import { CRAFTS } from './neighbours'

const TITLES: Record<ModelName, string> = {
  'mnist-lenet': 'MNIST',
  'fashion-lenet': 'Fashion',
  'cifar-resnet8': 'CIFAR',
}
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
const percent = (share: number, digits = 1) => `${(100 * share).toFixed(digits)} %`

export async function report({ runs, passing, neighbours }: Results): Promise<void> {
  // Written by hand, with what bench sampled printed.
  const [sampled] = /## Sampled verification.*?(?=\n+## )/s.exec(readFileSync('docs/liars.md', 'utf8')) ?? ['']
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

\`npm run data && npm run bench -- liars\` writes this page. Workers in made time, answers of about 10 ms of which 2 % take ten times as long, one call in a thousand that dies, and every second worker
another runtime whose last digits differ; the answers are those of real models to their 10,000 test images, the predictor, its memory and its pool are the real ones. One worker of nine lies unless it says
otherwise, \`verify.integrity\` is .9, and the memory begins with 1,000 answers. At most ${Math.max(...Object.values(runs).map((all) => all.length))} seeds a cell; "-" is not measured. Nobody honest was ejected: ${framed} in ${sum(Object.values(runs).map((all) => all.length))} runs and ${sum(
    Object.values(runs)
      .flat()
      .map((run) => run?.queries ?? 0),
  ).toLocaleString('en')} queries.

## In one minute

27 workers, 2,000 queries: inferences of a query beyond the first; p50 / p99 in ms; answers with another label than the model's own, of all.

### Nobody lies

${markdownTable(['', ...heads], beside('none'))}

### One swaps the two largest values, always

${markdownTable(['', ...heads], beside('swap'))}

Wrong labels of *verified* are recovered answers to late queries; the paper's scheme approximates all. It waits for all but S of its rows, so that its p99 is that of the slowest.

![liars](liars.svg)

## How long until it is ejected

Its lies until then, median and 99th percentile.

${markdownTable(
  ['one of nine, always', ...heads],
  attacks.map((attack) => [attack, ...each({ attack, brief: true }, until)]),
)}

*scaled*: values times .9, the label as it was; *straddle*: a thousandth of the answers' spread, again and again, near the tolerance of comparison, where nothing is proven and nothing is lost.

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

Wrong labels among exact, checked and recovered answers, while it lies and after: ${each(
    { attack: 'swap', queries: 3000 },
    wrong,
  )
    .map((told, i) => `${heads[i]} ${told}`)
    .join('; ')} (swap).
An **oracle** knows the memory, gives its wrong label where it is sure and wrong, and is silent elsewhere: ${each(
    { attack: 'oracle', queries: 6000 },
    (all) => `${wrong(all)}, ${median(all.map(({ asked }) => asked[0]))} calls to it`,
  )
    .map((told, i) => `${heads[i]} ${told}`)
    .join('; ')}: it hangs on its first
silence, is restarted, and passed over as whoever fails is.

## What an honest pool pays

Inferences of a query beyond the first, audits and hedges included.

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

Were the liar never ejected: its lies with another label that a memory of 1,000 shares, of all such lies (\`approxifer evaluate --byzantine 1\` measures it on your model).

${markdownTable(
  ['', ...[0.8, 0.9, 0.95, 0.97].map((level) => `integrity ${level}`)],
  names.flatMap((model) =>
    PASSING.flatMap((attack) => {
      const measured = levels(model, attack)
      if (!measured) return []
      const shares = measured.levels
        .filter(({ integrity }) => integrity < 1)
        .map(({ passed, lies }) => `${passed} of ${lies}`)
      return [[`${TITLES[model]}, ${attack}`, ...shares]]
    }),
  ),
)}

## What a neighbour’s queries do to one’s confidence

With \`tenant\` nothing, to the byte. Where a caller is of one tenant with another who asks five crafted queries for each of his, 10,000 in all: his recoveries with the model’s own label; those that are sure, and
how many of these are wrong; calibration error.

${markdownTable(
  ['', ...heads],
  CRAFTS.map((craft) => [
    {
      none: 'no neighbour',
      border: 'his images, moved just over the border to another label',
      outliers: 'his images, values 1,000 times too large',
      grey: 'one grey',
    }[craft],
    ...names.map((model) => {
      const told = neighbours[`${model} ${craft}`]
      if (!told) return '-'
      return `${percent(told.agreement)}; ${percent(told.sure)}, ${told.wrong} wrong; ${told.error.toFixed(3)}`
    }),
  ]),
)}

What is lost is mostly how often the memory is sure; beside values 1,000 times too large, to which it adapts as to any stream, some of the few sure ones are wrong. Callers who do not trust each other want \`limits.tenants\`.

${sampled}

## What it does not protect from

- More than E that lie alike: E + 1 of them are a proof. A machine is one however many workers and names it has, by its key over NATS; but keys are free, and who may bring any number of machines is E + 1. [Who can do what](remote.md#who-can-do-what) over NATS.
- A model that all workers compute wrongly: an accelerator is compared with the CPU when it starts, and refused with its worst difference where that is above 2 % (SwiftShader's WebGPU is); workers on other machines are compared with each other alone.
- Values behind a right label that was checked: only proven answers have values that two workers gave. \`verify: { integrity: 1 }\` proves all.
- A stream that shifts: the memory's confidence is calibrated on what came. An audit share above 1 % narrows that.
- An answer that was given as checked before its worker was ejected is not taken back.
- A liar among the first: until the memory begins, everything is proven, at the price of duplicate and compare.
`
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
      x: { field: 'extra', type: 'quantitative', title: 'inferences of a query beyond the first, nobody lies' },
      color: { field: 'name', type: 'nominal', title: null, sort: rivals.map(([name]) => name) },
    },
  })
  writeFileSync('docs/liars.md', text)
  writeFileSync('docs/liars.svg', plot)
}

export const PASSING = ['gauss:1', 'gauss:10', 'gauss:100', 'flip', 'swap', 'constant']
