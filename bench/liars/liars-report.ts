/** docs/liars.md: what bench liars measured, with a plot. */

import { readFileSync, writeFileSync } from 'node:fs'
import type { Verified } from '../../src/evaluate/verified'
import { markdownTable, svg } from '../shared/markdown'
import { median } from '../shared/measure'
import type { ModelName } from '../shared/models'
import { attacks, type Cell, keyOf, names, type Results } from './liars'
import type { Figures } from './liars-run'
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

\`npm run data && npm run bench -- liars\` writes this page. Workers in simulated time, answers of about 10 ms of which 2 % take ten times as long, one call in a thousand that dies, and every second worker
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

## Strangers

\`byzantine: E\` is a promise about whom you let in. Where anybody may join under as many names as he likes nothing can be built on E. \`verify: { trust: 'open' }\` builds on workers of your own instead: \`trusted: true\` in a \`ModelWorker\`, as threads of \`localWorkers\` have it. What
they answer is taken for the model's. Without one that can be reached nobody is examined: strangers that are believed answer until their next quiz is due, then queries fail with \`WORKER\`, and a warning says so.

- A newcomer gets no query, but quizzes: queries of callers that a trusted worker has answered, each asked once more, of one stranger alone. Trusted workers are asked nothing for that.
- With N = 1 / (1 - \`integrity\`) right answers (1,000; \`integrity\` is .999 here) its word is taken, \`exact\`, with the \`confidence\` 1 - 1 / n after n. Each answer that is given is credited to one identity: to the stranger whose it is, or to the one that a trusted worker's answer was a quiz for.
- Then each of its rows is a quiz with probability (N + 1) / (N + 1 + n), by a secret coin. Nothing tells one from a query: it has one row at a time, alone, a query goes to one stranger at most, and hedges and retries of it go to trusted workers.
- The agreement of strangers proves nothing, whatever their number. Only a trusted worker's answer convicts; who is convicted begins anew, behind all others, and needs twice as much. Who fails on what a trusted worker then answers loses 2 % of what it has earned.
- Of one [\`origin\`](remote.md#where-a-worker-comes-from) only the best counts, whoever else comes from there: the others are not examined, and so not believed. What an identity has earned stays when it leaves (the 1,000 that have most), and in \`save()\`; a new key leaves nothing behind.

Promised, and shown in \`src/trust/credibility.ts\`: of the answers that are given at most 1 - \`integrity\` are expected to be wrong, however many strangers lie, together or alone, at once or after being honest for as long as they like, seldom or always, under old or new keys.
\`npm run bench -- sybils\`: CIFAR's answers, simulated time, one trusted worker, nine honest ones, 20 callers, 100,000 queries; sybils know of each other which queries they have seen, and tell the same lie.

| wrong answers given, of 100,000; goodput over what it is without sybils; inferences an answer | 1 sybil | 3 | 5 | 9 | 20 |
| --- | --- | --- | --- | --- | --- |
| stay; 200 rows honest, then lie, silent where it may be a quiz | 0; 0.96; 1.25 | 0; 0.92; 1.26 | 0; 0.96; 1.25 | 0; 0.92; 1.26 | 0; 0.88; 1.27 |
| new keys each second, lie at once | 0; 1.00; 1.24 | 0; 0.96; 1.25 | 0; 0.97; 1.25 | 0; 0.96; 1.25 | 0; 0.94; 1.25 |
| stay; 1,200 rows honest, then lie in one of 20 | 1; 0.93; 1.26 | 6; 0.89; 1.27 | 5; 0.90; 1.27 | 14; 0.82; 1.29 | 24; 0.63; 1.40 |
| the same, all of one /24 | 1; 0.93; 1.26 | 0; 0.94; 1.25 | 5; 0.92; 1.26 | 5; 0.91; 1.26 | 3; 0.91; 1.26 |

Allowed are 100 wrong ones; nobody honest was convicted in any run, and no query failed. Without sybils 323 answers a second, ramp included.

An honest fleet takes 1.24 inferences an answer, 1.15 in its last fifth, where \`byzantine: 1\` takes 1.85 and duplicate and compare 2.06 (MNIST 1.07 and 2.07).

- It starts at the pace of your own workers: nine strangers need 9,000 of their answers, and quizzes keep them from growing faster: with one in ten yours the first 10,000 answers take 97 s, where ten workers could give 850 a second; 300,000 take 630 s.
- It is an expectation over all answers, not a bound on any hour: who has earned much, and turns, has n / N wrong answers to expect until it is convicted. Answers that were given are not taken back.
- Patient sybils cost time, once: until its first lie nothing tells one from an honest newcomer, each takes the N quizzes of one, and there is one quiz an answer of yours. Whom these go to first is chance: with 20 whose origin nobody knows goodput was 0.63, 0.79, 0.86 and 0.83 of what it is without, of four seeds (over 300,000 queries the first is 0.76); of one origin 0.91, 0.90, 0.95 and 0.99. So have machines of strangers come with an \`origin\` where you can.
  Tried, each within the promise, and not kept (mean of three or four seeds with 20; 0.78 as it is): believed from the first right answer on, quizzed as often, 0.74; credit for answers that a believed stranger gave to a newcomer that gives the same afterwards, half of them 0.80, while quizzes are left over 0.78, of those with 3 N (one seed; 0.63 as it is) 0.70; a quarter of the quizzes at most to newcomers 0.68 (one seed); credit for late answers that a trusted worker's prove 0.74.
- Who asks most of the queries himself knows which of his strangers' rows are quizzes, and a query that is asked again and again is no secret.
- No scheme, no recoveries and no reuse go with it, no batches and no second slots of strangers; a stranger has one worker. Strangers read the queries that they get.

## What it does not protect from

- With \`byzantine: E\`, more than E that lie alike: E + 1 of them are a proof. A machine is one however many workers and names it has, by its key over NATS; but keys are free, and who may bring any number of machines is E + 1: see [strangers](#strangers). [Who can do what](remote.md#who-can-do-what) over NATS.
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
