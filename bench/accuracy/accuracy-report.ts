/** docs/appendix/accuracy.md: what bench accuracy measured, in the paper's layout and in our own, with plots. */

import { mkdirSync, writeFileSync } from 'node:fs'
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
import { changedHead, changedRow } from './changes'
import { domainHead, domainRow } from './domains'
import { paperSection } from './paper'
import { parmSection } from './parm'

/** The paper's figures (AAAI 2022, figures 3 to 6; ResNet-18), %: MNIST, Fashion-MNIST, CIFAR-10. */
const PAPER = {
  base: ['99', '97 or 93', '94'],
  '8,1': ['87.2', '74.0', '77.6'],
  '10,1': ['87.2', '73.0', '77.4'],
  '12,1': ['86.8', '72.0', '77.4'],
  '8,2': ['82.6', '65.5', '74.1'],
  '8,3': ['77.5', '64.0', '73.1'],
  'byzantine 1': ['97', '79', '89.8'],
  'byzantine 2': ['95', '80.5', '89.7'],
  'byzantine 3': ['93', '82', '90.1'],
} as const

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

  const inPaper = (details: readonly (keyof typeof PAPER & string)[]) =>
    details.flatMap((detail) => [
      [detail, 'printed in the paper, ResNet-18', ...PAPER[detail]],
      ['', 'the paper’s scheme on our models', ...names.map((name) => percent(theirs(name, detail)?.accuracy.all))],
      ['', 'ours', ...names.map((name) => percent(ours(name, detail)?.accuracy.all))],
    ])
  const head = ['K,S', '', 'MNIST', 'Fashion-MNIST', 'CIFAR-10']

  const cells = (name: ModelName) =>
    parityCells.map(([K, S]) => {
      const [mine, paper] = [ours(name, `${K},${S}`), theirs(name, `${K},${S}`)]
      return [
        `${K},${S}`,
        `${((K + S) / K).toFixed(2)}x; ${K * (S + 1)}`,
        within(mine?.accuracy.all, mine?.accuracy.allCi95),
        within(paper?.accuracy.all, paper?.accuracy.allCi95),
        percent(mine?.guess),
        paired(mine?.overPaper),
        paired(mine?.overGuess),
        within(mine?.accuracy.recovered, mine?.accuracy.recoveredCi95),
        `${percent(mine?.accuracy.nothingMissing)}, ${percent(paper?.accuracy.nothingMissing)}`,
        `${percent(mine?.accuracy.worstSet)}, ${percent(paper?.accuracy.worstSet)}`,
      ]
    })

  const lost = lostQueries(names, ours)
  const calibration = names.flatMap((name) =>
    [0, 1000].map((memory) => {
      const confidence = ours(name, `calibration ${memory}`)?.confidence
      return [
        TITLES[name],
        memory ? `memory ${memory}` : 'parity',
        String(confidence?.tested),
        percent(confidence?.agreement),
        (confidence?.brierSkill ?? Number.NaN).toFixed(3),
        (confidence?.calibrationError ?? Number.NaN).toFixed(3),
        percent(confidence?.sure.share),
        percent(confidence?.sure.agreement),
      ]
    }),
  )
  const shifted = (results.shifted ?? []).map(({ memory, live, agreement, confidence, sure }) => [
    String(memory),
    live ? 'keeps learning' : 'frozen',
    within(agreement.accuracy, agreement.ci95),
    percent(confidence),
    sure ? `${percent(sure.count / agreement.count)} (${sure.count})` : 'none',
    sure ? within(sure.accuracy, sure.ci95) : '-',
  ])
  const decoded = decoderCells
    .filter(([K, S]) => K === 8 && S === 1)
    .flatMap(([K, S]) => {
      const cells = [
        ['berrut', 'berrut, the paper’s', theirs, `${K},${S}`],
        ...otherDecoders.map(([code, decoder]) => [code, decoder, ours, `${code} ${decoder} ${K},${S}`] as const),
        ['systematic', 'kriging, ours', ours, `${K},${S}`],
      ] as const
      return cells.map(([code, decoder, of, detail]) => {
        const lost = names.map((name) => percent(of(name, detail)?.accuracy.recovered))
        const all = names.map((name) => of(name, detail)?.accuracy)
        return [`${K},${S}`, code, decoder, ...all.map((each) => within(each?.all, each?.allCi95)), lost.join(', ')]
      })
    })
  const liars = byzantineCells.flatMap((E) =>
    names.map((name) => {
      const [mine, paper] = [ours(name, `byzantine ${E}`), theirs(name, `byzantine ${E}`)]
      const shares = [mine?.locator?.found, paper?.locator?.found, mine?.accuracy.all, paper?.accuracy.all]
      return [String(E), TITLES[name], ...shares.map(percent), paired(mine?.overPaper)]
    }),
  )

  const text = `# Accuracy

\`npm run data && npm run bench -- accuracy\` writes this page: ${GROUPS.toLocaleString('en')} random groups a cell (ResNet-8 ${FEWER_GROUPS.toLocaleString('en')}), seed ${SEED}, from the first 1,000 test images of each set. With a memory all 10,000 images are used: the memory learns the first ones in random order, and groups come from the rest.
In every group S random results out of N are missing. All figures are in %.

- **all**: accuracy over the K queries.
- **lost only**: accuracy over the queries whose own answer is missing.
- **guessing**: no code; missing answers are guessed, on the same groups and losses.
- **nothing missing**: no answer is late.
- **worst set**: the survivor set with the lowest accuracy.

Square brackets have 95 % intervals over distinct queries and groups. Differences are paired, query by query.

## In one minute: 8 queries, one of 9 workers late, 1.13x the machines (replication: 2x)

${markdownTable(['model (alone)', 'paper’s code', 'guessing', 'parity', '+ likeness:16', '+ memory 1000', 'nothing missing: paper’s, ours'], minute)}

"parity" is the default code without its memory. Here every recovered answer is given. The default policy \`auto\` gives only confident ones, and retries the other queries (below).

![accuracy against overhead](accuracy.svg)

## The paper's tables

Byzantine cells have 1,000 groups, liars of kind gauss:10, and N = 2(K + E) - 1 as in the authors' scripts. "ours" is the same code with the \`residual\` locator.

${markdownTable(head, inPaper(['8,1', '10,1', '12,1', '8,2', '8,3', 'byzantine 1', 'byzantine 2', 'byzantine 3']))}

${parmSection(results.parm ?? [])}

${paperSection(results)}

## Every cell
${names
  .map(
    (name) => `
### ${TITLES[name]}, ${percent(ours(name, '8,1')?.accuracy.base)} alone

${markdownTable(
  [
    'K,S',
    'overhead; replication',
    'all, ours',
    'all, paper’s',
    'guessing',
    'ours - paper’s',
    'ours - guessing',
    'lost only',
    'nothing missing: ours, paper’s',
    'worst set: ours, paper’s',
  ],
  cells(name),
)}
`,
  )
  .join('')}
## What answers a lost query (K = 8, S = 1)

${markdownTable(['', ...names.map((name) => TITLES[name])], lost.table)}

A memory has earlier queries and the model's own answers, no labels. "alone" has no redundancy: K workers, no parity. A parity beside it, as with the policy \`recover\`, changes the memory's accuracy by less than a point.

![lost queries](lost.svg)

## What recovered answers say of their own worth

Confidence is learned without labels, from late answers to the first 300 of ${CALIBRATION_GROUPS.toLocaleString('en')} groups (ResNet-8 a quarter of that) and from what the memory predicted before it learned a query. The other groups are the test.
"agree" means the model's own label. The calibration error has 10 bins of equal mass. **sure**: confidence of at least ${MIN_CONFIDENCE}; the policy \`auto\` gives these answers without waiting for the deadline.

${markdownTable(['model', 'recovered from', 'tested', 'agree', 'Brier skill', 'calibration error', 'sure', 'agree when sure'], calibration)}

![confidence](confidence.svg)

## Decoders

K = 8, S = 1; \`npm run bench -- accuracy\` prints more cells. "lost only" has MNIST, Fashion-MNIST, CIFAR-10. The paper's code approximates every answer, so its "lost only" equals its accuracy over all queries.

${markdownTable(['K,S', 'code', 'decoder', ...names.map((name) => TITLES[name]), 'lost only'], decoded)}

## Data of other kinds

\`npm run bench -- domains\`: a memory alone learns the first queries. Up to 3,000 later queries are recovered, and graded by their late answers; medians of three orders. "right" means agreement with the model; "explained" is the share of the answers' variance that recoveries explain.

${markdownTable(domainHead, Object.entries(results.domains ?? {}).map(domainRow))}

## Streams that change

\`npm run bench -- changes\` prints more changes. The stream has 700 queries before its change and 2,200 after it. Each query is recovered before it is learned; seven of eight answers arrive and are learned.

- **steady**: a memory that saw the new distribution from the start, on the same queries.
- **back after**: number of queries until 200 in a row are as often confident as 80 % of steady.
- **end**: the last 500 queries.

${markdownTable(changedHead, (results.changes ?? []).filter(({ change }) => !/(class|of) [2468]/.test(change)).map(changedRow))}

## A stream that shifts

The memory of the MNIST model learns digits. Then 5,000 recoveries are of Fashion-MNIST images, which the model was not trained for: the memory should rarely be confident.

${markdownTable(['memory', 'memory then', 'agree', 'mean confidence', 'sure', 'agree when sure'], shifted)}

## Liars (K = 12, gauss:10, 1,000 groups)

${markdownTable(['E', 'model', 'found: residual', 'found: vote', 'all: residual', 'all: vote', 'difference'], liars)}
`
  mkdirSync('docs', { recursive: true })
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
  console.log('docs/appendix/accuracy.md')
}

type Lookup = (name: string, detail: string) => Measured | undefined

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
    ['parity, groups by likeness:16', (name) => whole(ours(name, 'likeness:16'))],
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
