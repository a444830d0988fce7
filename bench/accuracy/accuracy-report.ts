/** docs/appendix/accuracy.md: what bench accuracy measured, in the paper's layout and in our own, with plots. */

import { writeFileSync } from 'node:fs'
import type { TopLevelSpec } from 'vega-lite'
import { type ModelName, models, TITLES } from '../shared/models'
import { markdownTable, percent, reliabilityPlot, svg, within } from '../shared/report'
import {
  byzantineCells,
  CALIBRATION_GROUPS,
  decoderCells,
  MIN_CONFIDENCE,
  memories,
  otherDecoders,
  parityCells,
} from './accuracy'
import { FEWER_GROUPS, GROUPS, key, type Measured, type Results, SEED } from './cells'
import { changesSection } from './changes'
import { domainHead, domainRow } from './domains'
import { paperSection } from './paper'
import { parmSection } from './parm'

/** The paper's figures (AAAI 2022, figures 3 to 6; ResNet-18), %: MNIST, Fashion-MNIST, CIFAR-10. */
const PAPER = {
  '8,1': ['87.2', '74.0', '77.6'],
  '10,1': ['87.2', '73.0', '77.4'],
  '12,1': ['86.8', '72.0', '77.4'],
  '8,2': ['82.6', '65.5', '74.1'],
  '8,3': ['77.5', '64.0', '73.1'],
  'byzantine 1': ['97', '79', '89.8'],
  'byzantine 2': ['95', '80.5', '89.7'],
  'byzantine 3': ['93', '82', '90.1'],
} as const
const PRINTED = Object.keys(PAPER) as (keyof typeof PAPER)[]

const signed = (share: number) => `${share >= 0 ? '+' : ''}${(100 * share).toFixed(2)}`
const paired = (difference: { mean: number; ci95: readonly [number, number] } | undefined) =>
  difference ? `${signed(difference.mean)} [${difference.ci95.map(signed).join(' to ')}]` : '-'

export async function report(results: Results): Promise<void> {
  const names = Object.keys(models) as ModelName[]
  const missing = names.filter((name) => !results[key(name, 'ours', 'byzantine 3')])
  if (missing.length) return console.error(`docs/appendix/accuracy.md not written: ${missing} not measured to the end`)
  const ours = (name: string, detail: string): Measured | undefined => results[key(name, 'ours', detail)]
  const theirs = (name: string, detail: string): Measured | undefined => results[key(name, 'paper', detail)]

  const minute = names.map((name) => {
    const [mine, paper] = [ours(name, '8,1'), theirs(name, '8,1')]
    const [alike, memory] = [ours(name, 'likeness:16'), ours(name, 'memory 1000')]
    return [
      `${TITLES[name]} (${percent(mine?.accuracy.base)})`,
      ...[paper?.accuracy.all, mine?.guess, mine?.accuracy.all, alike?.accuracy.all, memory?.accuracy.all].map(percent),
      `${percent(paper?.accuracy.nothingMissing)}, ${percent(mine?.accuracy.nothingMissing)}`,
    ]
  })

  /** A cell for each set, printed, of the paper's scheme and ours. */
  const inPaper = (detail: keyof typeof PAPER) => [
    detail.replace(',', ', ').replace('byzantine', 'E ='),
    ...names.map((name, i) =>
      [PAPER[detail][i], ...[theirs, ours].map((of) => percent(of(name, detail)?.accuracy.all))].join('; '),
    ),
  ]
  const found = byzantineCells.map((E) => {
    const by = (of: Lookup) => names.map((name) => percent(of(name, `byzantine ${E}`)?.locator?.found)).join(', ')
    return [`E = ${E}`, by(theirs), by(ours)]
  })

  const lost = lostQueries(names, ours)
  const calibration = names.flatMap((name) =>
    [0, 1000].map((memory) => {
      const confidence = ours(name, `calibration ${memory}`)?.confidence
      return [
        TITLES[name],
        memory ? `memory of ${memory}` : 'parity',
        percent(confidence?.agreement),
        (confidence?.calibrationError ?? Number.NaN).toFixed(3),
        percent(confidence?.sure.share),
        percent(confidence?.sure.agreement),
      ]
    }),
  )
  const shifted = (results.shifted ?? []).map(({ memory, live, agreement, confidence, sure }) => [
    `${memory} digits, ${live ? 'keeps learning' : 'frozen'}`,
    percent(agreement.accuracy),
    percent(confidence),
    sure ? percent(sure.count / agreement.count) : 'none',
    sure ? within(sure.accuracy, sure.ci95) : '-',
  ])
  const decoders = decodersAt(8, 1)
  const decoded = decoders.map(({ code, decoder, scheme, detail }) => {
    const of = scheme === 'paper' ? theirs : ours
    const shares = (part: 'all' | 'recovered') =>
      names.map((name) => percent(of(name, detail)?.accuracy[part])).join(', ')
    return [`\`${code}\``, decoder, shares('all'), shares('recovered')]
  })

  const text = `# Accuracy

This page shows how often a label is right when workers' answers are missing, or when workers lie.

\`npm run data && npm run bench -- accuracy\` writes this page, and prints every table cell with its 95 % interval.

Each cell has ${GROUPS.toLocaleString('en')} random groups (ResNet-8: ${FEWER_GROUPS.toLocaleString('en')} groups) of the first 1,000 test images, with seed ${SEED}. Cells with a memory use all 10,000 images in random order: the memory learns the first ones, and groups are drawn from the others. A group has K queries and N workers; the results of S random workers are missing.
All figures are in %. Square brackets contain 95 % intervals over distinct queries and groups.

- **alone**: the accuracy of the model itself, with every answer on time.
- **all**: the accuracy over all K queries of a group. **lost only**: the accuracy over the queries whose own answer is missing.
- **guessing**: the accuracy without a code. A random label replaces each missing answer; groups and losses are the same.
- **agree**: the share of labels that equal the model's own label, whether that is right or wrong.
- **sure**: a confidence of at least ${MIN_CONFIDENCE}. The policy \`auto\` returns such answers, and retries the other queries.

## In one minute

Eight queries run on nine workers, and one result is missing. This takes 1.13 times the machines of no redundancy; replication takes 2 times. Every recovered answer counts in this table, sure or not.

${markdownTable(['model (alone)', 'paper’s code', 'guessing', 'parity', 'parity, similar queries', 'memory of 1000', 'nothing missing: paper’s code, ours'], minute)}

A parity is little better than guessing; a memory is nearly as accurate as the model. For "similar queries", groups of queries that resemble each other were chosen out of 128 queries.

![accuracy over all queries, by K, S and scheme](accuracy.svg)

## What answers a lost query

The table has the accuracy over lost queries only, for K = 8 and S = 1. A memory contains earlier queries and the model's own answers to them, but no true labels. "Memory alone" has no redundancy: K workers run K queries, without a parity.

${markdownTable(['', ...names.map((name) => TITLES[name])], lost.table)}

A parity in addition to a memory (policy \`recover\`) changes the memory's accuracy by less than one point.

![accuracy over lost queries, by what answers them](lost.svg)

## The paper's tables

A cell has three accuracies over all queries: that printed in the paper (ResNet-18); the paper's scheme on our models; our scheme on our models. The paper's model differs from ours, so compare the second figure with the third.
In rows with E, E workers of a group lie: they add noise to their answers (gauss:10). These rows have K = 12, N = 2(K + E) - 1 as in the authors' scripts, and 1,000 groups. In these rows our scheme encodes as the paper does, and locates liars with the \`residual\` locator.

${markdownTable(['K, S', 'MNIST', 'Fashion-MNIST', 'CIFAR-10'], PRINTED.map(inPaper))}

The next table has the share of liars that each locator finds, for MNIST, Fashion-MNIST and CIFAR-10.

${markdownTable(['', 'the paper’s vote', '`residual`'], found)}

${parmSection(results.parm ?? [])}

${paperSection(results)}

## Decoders

All rows have K = 8 and S = 1; a cell has the accuracies for MNIST, Fashion-MNIST and CIFAR-10. The paper's code (\`berrut\`) approximates every answer, so "all" equals "lost only" in its rows.

${markdownTable(['code', 'decoder', 'all', 'lost only'], decoded)}

## Confidence

Confidence is fitted without true labels. For parities it is fitted to late answers of the first 300 of ${CALIBRATION_GROUPS.toLocaleString('en')} groups (for ResNet-8 a quarter of the groups). For a memory it is fitted to predictions of queries that were not yet learned. All figures come from the other groups. The calibration error has 10 bins with equally many answers.

${markdownTable(['model', 'recovered from', 'agree', 'calibration error', 'sure', 'agree when sure'], calibration)}

![stated confidence against the share that agrees](confidence.svg)

## Data of other kinds

\`npm run bench -- domains\`: a memory, without parities, learns the first queries of a data set. Up to 3,000 later queries are recovered, and each recovery is compared with the model's late answer. Figures are medians over three random orders. "Explained" is the share of the answers' variance that the recoveries explain.

${markdownTable(domainHead, Object.entries(results.domains ?? {}).map(domainRow))}

${changesSection(results.changes ?? [])}

## Images of another kind

The memory of the MNIST model has learned digits. Then it recovers answers to 5,000 Fashion-MNIST images, for which the model was not trained. The memory should rarely be sure of such images until it has learned some of them.

${markdownTable(['memory', 'agree', 'mean confidence', 'sure', 'agree when sure'], shifted)}
`
  writeFileSync('docs/appendix/accuracy.md', text)
  writeFileSync('docs/appendix/accuracy.svg', await svg(overheadPlot(names, ours, theirs)))
  writeFileSync('docs/appendix/lost.svg', await svg(lost.plot))
  const bins = names.flatMap((name) =>
    [0, 1000].map((memory) => ({
      name: `${TITLES[name]}, ${memory ? 'memory' : 'parity'}`,
      bins: ours(name, `calibration ${memory}`)?.confidence?.bins ?? [],
    })),
  )
  writeFileSync('docs/appendix/confidence.svg', await svg(reliabilityPlot(bins)))
  console.log(`${everyCell(names, ours, theirs)}\n\ndocs/appendix/accuracy.md`)
}

type Lookup = (name: string, detail: string) => Measured | undefined

/** The decoders of both codes; the paper's comes first, ours last. */
const decodersAt = (K: number, S: number) => [
  { code: 'berrut', decoder: 'berrut, the paper’s', scheme: 'paper', detail: `${K},${S}` },
  ...otherDecoders.map(([code, decoder]) => {
    return { code, decoder, scheme: 'ours', detail: `${code} ${decoder} ${K},${S}` }
  }),
  { code: 'systematic', decoder: 'kriging, ours', scheme: 'ours', detail: `${K},${S}` },
]

/** What the page leaves out, for the terminal: each cell with its interval. */
function everyCell(names: readonly ModelName[], ours: Lookup, theirs: Lookup): string {
  const cells = names.flatMap((name) =>
    parityCells.map(([K, S]) => {
      const [mine, paper] = [ours(name, `${K},${S}`), theirs(name, `${K},${S}`)]
      return [
        TITLES[name],
        `${K},${S}`,
        within(mine?.accuracy.all, mine?.accuracy.allCi95),
        within(paper?.accuracy.all, paper?.accuracy.allCi95),
        percent(mine?.guess),
        paired(mine?.overPaper),
        paired(mine?.overGuess),
        within(mine?.accuracy.recovered, mine?.accuracy.recoveredCi95),
        `${percent(mine?.accuracy.nothingMissing)}, ${percent(paper?.accuracy.nothingMissing)}`,
        `${percent(mine?.accuracy.worstSet)}, ${percent(paper?.accuracy.worstSet)}`,
      ]
    }),
  )
  const decoded = decoderCells.flatMap(([K, S]) =>
    decodersAt(K, S).map(({ code, decoder, scheme, detail }) => {
      const all = names.map((name) => (scheme === 'paper' ? theirs : ours)(name, detail)?.accuracy)
      const lost = all.map((each) => percent(each?.recovered)).join(', ')
      return [`${K},${S}`, code, decoder, ...all.map((each) => within(each?.all, each?.allCi95)), lost]
    }),
  )
  const liars = byzantineCells.flatMap((E) =>
    names.map((name) => {
      const [mine, paper] = [ours(name, `byzantine ${E}`), theirs(name, `byzantine ${E}`)]
      const shares = [mine?.locator?.found, paper?.locator?.found, mine?.accuracy.all, paper?.accuracy.all]
      return [String(E), TITLES[name], ...shares.map(percent), paired(mine?.overPaper)]
    }),
  )
  const [mine, paper] = ['ours', 'paper’s']
  return [
    markdownTable(
      ['model', 'K,S', `all, ${mine}`, `all, ${paper}`, 'guessing', `${mine} - ${paper}`, `${mine} - guessing`, 'lost only', `nothing missing: ${mine}, ${paper}`, `worst survivor set: ${mine}, ${paper}`], // biome-ignore format: one line
      cells,
    ),
    markdownTable(['K,S', 'code', 'decoder', ...names.map((name) => TITLES[name]), 'lost only'], decoded),
    markdownTable(['E', 'model', 'found: residual', 'found: vote', 'all: residual', 'all: vote', 'difference'], liars),
  ].join('\n\n')
}

function overheadPlot(names: readonly ModelName[], ours: Lookup, theirs: Lookup): TopLevelSpec {
  const label = (K: number, S: number) => `${K},${S}  ${((K + S) / K).toFixed(2)}x`
  const cells = [...parityCells].sort(([K, S], [L, T]) => S / K - T / L)
  const values = names.flatMap((name) => {
    const shown = cells.flatMap(([K, S]) => {
      const [mine, paper] = [ours(name, `${K},${S}`), theirs(name, `${K},${S}`)]
      const at = { model: TITLES[name], label: label(K, S) }
      return [
        { ...at, scheme: 'ours, parity', accuracy: mine?.accuracy.all },
        { ...at, scheme: 'paper’s code', accuracy: paper?.accuracy.all },
        { ...at, scheme: 'guessing', accuracy: mine?.guess },
      ]
    })
    const remembered = ours(name, 'memory 1000')?.accuracy.all
    return [
      ...shown,
      { model: TITLES[name], label: label(8, 1), scheme: 'ours, memory of 1,000', accuracy: remembered },
    ]
  })
  const schemes = ['ours, memory of 1,000', 'ours, parity', 'paper’s code', 'guessing']
  return {
    data: { values },
    width: { step: 32 },
    height: 240,
    mark: { type: 'point', filled: true, size: 60, opacity: 1 },
    encoding: {
      column: { field: 'model', title: null, sort: names.map((name) => TITLES[name]) },
      x: { field: 'label', title: 'K,S and workers per query', sort: cells.map(([K, S]) => label(K, S)) },
      y: { field: 'accuracy', type: 'quantitative', title: 'accuracy, all queries', scale: { domain: [0.6, 1] } },
      color: { field: 'scheme', type: 'nominal', title: null, sort: schemes },
      shape: { field: 'scheme', type: 'nominal', title: null, sort: schemes },
    },
  }
}

function lostQueries(names: readonly ModelName[], ours: Lookup) {
  type Part = { accuracy?: number; ci95?: readonly [number, number] }
  const whole = (cell: Measured | undefined): Part => ({
    accuracy: cell?.accuracy.recovered,
    ci95: cell?.accuracy.recoveredCi95,
  })
  const rows: [string, (name: string) => Part][] = [
    ['a sum as parity (ParM without training)', (name) => ours(name, '8,1')?.rivals.sumParity ?? {}],
    ['parity', (name) => whole(ours(name, '8,1'))],
    ['parity, groups of similar queries', (name) => whole(ours(name, 'likeness:16'))],
    ...memories.flatMap((memory): [string, (name: string) => Part][] => [
      [`memory of ${memory}, alone`, (name) => ours(name, `memory ${memory}`)?.rivals.memoryAlone ?? {}],
    ]),
  ]
  const base = (name: string) => ours(name, '8,1')?.accuracy.base
  const table = [
    ...rows.map(([title, part]) => [title, ...names.map((name) => within(part(name).accuracy, part(name).ci95))]),
    ['the model itself', ...names.map((name) => percent(base(name)))],
  ]
  const values = rows.flatMap(([title, part]) =>
    names.map((name) => ({ title, model: TITLES[name], accuracy: part(name).accuracy })),
  )
  const plot: TopLevelSpec = {
    data: { values },
    width: { step: 22 },
    height: 240,
    mark: 'bar',
    encoding: {
      column: { field: 'model', title: null, sort: names.map((name) => TITLES[name]) },
      x: { field: 'title', title: null, axis: null, sort: rows.map(([title]) => title) },
      y: { field: 'accuracy', type: 'quantitative', title: 'accuracy, lost queries only', scale: { domain: [0, 1] } },
      color: { field: 'title', title: null, sort: rows.map(([title]) => title) },
    },
  }
  return { table, plot }
}
