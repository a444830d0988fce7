/** docs/appendix/latency.md: what bench latency measured, beside what was asked of it, with plots; the README's, too. */

import { writeFileSync } from 'node:fs'
import type { TopLevelSpec } from 'vega-lite'
import type { ModelName } from '../shared/models'
import { markdownTable, svg } from '../shared/report'
import { ANY, type Cell, hedgeOf, middle, names, paired, type Results, runsOf, sum } from './latency'
import { BLOCK, DEADLINES, type Figures, WORKERS } from './latency-run'
import { tail } from './tail'

const TITLES: Record<ModelName, string> = {
  'mnist-lenet': 'MNIST',
  'fashion-lenet': 'Fashion',
  'cifar-resnet8': 'CIFAR',
}
const COLUMNS = ['', 'p50', 'p99', 'p99.9', 'machine time', 'p99 / hedge’s p99', 'p99.9 / hedge’s p99.9', 'recovered (right)', 'seeds'] // biome-ignore format: one line
const percent = (share: number, digits = 1) => `${(100 * share).toFixed(digits)} %`
const OURS = ['auto, S = 0', 'auto, S = 1']
const LOADS = [0.3, 0.6, 0.8]

type Where = Omit<Cell, 'model' | 'system'>
const at = (trouble: Cell['trouble'], load: number, shift: Cell['shift'] = 'none'): Where => ({ trouble, load, shift })

/** What a table shows of a cell. */
interface Row {
  name: string
  cell: Cell
}

const rival = (where: Where, system: string): Row => ({ name: system, cell: { ...where, model: ANY, system } })
const own = (where: Where, system: string): Row[] =>
  names.map((model) => ({ name: `${TITLES[model]}: ${system}`, cell: { ...where, model, system } }))

export async function report(results: Results): Promise<void> {
  const over = (cell: Cell, of: (figures: Figures) => number) => middle(runsOf(results, cell).map(of)).median
  const ratio = (cell: Cell, other: Cell, of: (figures: Figures) => number) =>
    middle(paired(results, cell, other).map(([a, b]) => of(a) / of(b)))
  const times = (cell: Cell, of: (figures: Figures) => number) => {
    const { median, low, high } = ratio(cell, hedgeOf(cell), of)
    return Number.isNaN(median) || median === undefined
      ? ''
      : `${median.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}]`
  }
  const recovered = (cell: Cell) => {
    const runs = runsOf(results, cell)
    const [count, right] = [sum(runs.map((each) => sum(each.recovered))), sum(runs.map((each) => sum(each.agreed)))]
    const asked = sum(runs.map((each) => each.recovered.length * BLOCK))
    return count ? `${percent(count / asked)} (${percent(right / count)})` : ''
  }
  const line = ({ name, cell }: Row): string[] => {
    const ms = (of: (figures: Figures) => number) => over(cell, of).toFixed(1)
    const [p99, p999] = [(figures: Figures) => figures.p99, (figures: Figures) => figures.p999]
    const compared = cell.system === 'hedge' ? ['', ''] : [times(cell, p99), times(cell, p999)]
    return [name, ms(({ p50 }) => p50), ms(p99), ms(p999), ms(({ machineMs }) => machineMs), ...compared, recovered(cell), String(runsOf(results, cell).length)] // biome-ignore format: one line
  }
  const measured = (rows: readonly Row[]) => rows.filter(({ cell }) => runsOf(results, cell).length > 0)
  const section = (title: string, rows: readonly Row[]) => {
    const shown = measured(rows)
    const worse = shown.filter(({ cell }) => {
      const { low } = ratio(cell, hedgeOf(cell), ({ p99 }) => p99)
      return OURS.includes(cell.system) && low > 1
    })
    const ties = shown.filter(({ cell }) => {
      const { low, high } = ratio(cell, hedgeOf(cell), ({ p99 }) => p99)
      return OURS.includes(cell.system) && low <= 1 && high >= 1
    })
    const list = (some: readonly Row[]) => some.map(({ name }) => name).join('; ')
    const told = [
      worse.length ? `**The hedge has a lower p99 than** ${list(worse)}.` : '',
      ties.length ? `No significant difference at p99: ${list(ties)}.` : '',
      worse.length || ties.length ? '' : 'Every `auto` here has a lower p99 than the hedge.',
    ]
    return `### ${title}\n\n${told.filter(Boolean).join(' ')}\n\n${markdownTable(COLUMNS, shown.map(line))}\n`
  }
  const base = (where: Where) => [rival(where, 'no redundancy'), rival(where, 'hedge')]
  const matrix = (trouble: Cell['trouble'], loads = LOADS) =>
    loads
      .map((load) => {
        const where = at(trouble, load)
        const first = trouble === 'random' && load === 0.6
        const blind = trouble === 'wandering' ? [rival(where, 'hedge, blind')] : []
        const twice = first ? [rival(where, 'twice each')] : []
        const retry = trouble === 'random' ? [rival(where, 'retry')] : []
        const paper = first ? own(where, 'paper’s code') : []
        const recover = [...own(where, 'recover, S = 0'), ...own(where, 'recover, S = 1')]
        const rows = [...base(where), ...blind, ...twice, ...paper, ...retry, ...OURS.flatMap((system) => own(where, system)), ...recover] // biome-ignore format: one line
        return section(`${trouble}, load ${load}`, rows)
      })
      .join('\n')

  const minute = [at('random', 0.6), at('random', 0.8), at('wandering', 0.6), at('wandering', 0.8)].map((where) => {
    const p = ({ cell }: Row) =>
      `${over(cell, ({ p99 }) => p99).toFixed(1)} / ${over(cell, ({ p999 }) => p999).toFixed(1)}`
    return [`${where.trouble}, ${where.load}`, ...[...base(where), ...own(where, OURS[0])].map(p)]
  })

  const inTime = LOADS.flatMap((load) => {
    const where = at('random', load)
    const shares = (cells: (D: number) => Cell) => DEADLINES.map((D) => {
        const runs = runsOf(results, cells(D))
        return runs.length ? percent(middle(runs.map(({ inTime }) => inTime[D] ?? Number.NaN)).median, 2) : ''
      }) // biome-ignore format: as the table
    const hedge = shares(() => ({ ...where, model: ANY, system: 'hedge' }))
    return [
        [`random, ${load}`, 'hedge', ...hedge],
        ...OURS.flatMap((system) =>
          names.map((model) => ['', `${TITLES[model]}: ${system}`, ...shares((deadline) => ({ ...where, model, system, deadline }))]),
        ),
      ].filter((row) => row.slice(2).some(Boolean)) // biome-ignore format: as the table
  })

  const shifts = (['clothes', 'mix'] as const).flatMap((shift) =>
    OURS.flatMap((system) => own(at('random', 0.6, shift), system)).flatMap(({ name, cell }) => {
      const runs = runsOf(results, cell)
      if (!runs.length) return []
      const [got, right] = [(i: number) => sum(runs.map((each) => each.recovered[i])), (i: number) => sum(runs.map((each) => each.agreed[i]))] // biome-ignore format: one line
      const blocks = runs[0].recovered.map((_, i) => i)
      const share = (some: readonly number[]) => sum(some.map(right)) / sum(some.map(got))
      const windows = blocks.slice(0, -9).map((i) => share(blocks.slice(i, i + 5000 / BLOCK)))
      const after = blocks.slice(8)
      const asked = BLOCK * runs.length
      return [[shift, name, percent(Math.min(...windows)), percent(share(after.slice(0, 2))), percent(share(after)), percent(sum(after.map(got)) / (asked * after.length))]] // biome-ignore format: one line
    }),
  )

  const costs = names.map((name) => {
    const { lookUp, comparing, step } = results.costs[name]
    return [TITLES[name], ...[lookUp, comparing, step].map((ms) => `${ms.toFixed(3)} ms`)]
  })
  const other = ([['bimodal', 0.6], ['pauses', 0.6], ['pool slow', 0.3]] as const).map(([trouble, load]) => {
    const where = at(trouble, load)
    return section(`${trouble}, load ${load}`, [...base(where), ...OURS.flatMap((system) => own(where, system))])
  }) // biome-ignore format: as the table

  const text = `# Latency

\`npm run data && npm run bench -- latency\` writes this page. ${WORKERS} workers share one queue in simulated time. Queries arrive by a Poisson process; answer times are lognormal with a median of 10 ms and a sigma of .1, with one of two troubles:

- **random**: 2 % of the calls take ten times as long.
- **wandering**: at any time two workers are five times slower; every five seconds it is two other workers.

Workers give the answers of real models to their 10,000 test images. A seed is one pass over the images; the memory learns the first 1,000, which are not counted. Predictor, pool and memory are real. The clock is charged for the memory's processor time, measured at the start of the bench with 1,000 pairs:

${markdownTable(['', 'lookup', 'training: each step of the pass', 'each further step'], costs)}

Rivals have the same arrivals, queue and dispatch.

- **hedge**: a query that takes longer than the running 95th percentile is also sent to another worker, for at most one query in ten; queued duplicates are cancelled.
- **S = 0**: no coding; late queries are answered by the memory or a hedge.
- **S = 1**: parities, too, while no memory is warm.

Times are in ms, medians over seeds, from when the query was due to its answer, also when the coordinator was busy. Ratios are medians of paired seeds. Brackets have the order statistics that contain the median in 95 of 100 cases (with fewer than six seeds, the range).

## In one minute: p99 / p99.9 in ms

${markdownTable(['', 'no redundancy', 'hedge', ...names.map((name) => `auto, ${TITLES[name]}`)], minute)}

![latency](latency.svg)

- You gain if calls are slow at random and the memory knows your queries (MNIST, Fashion): p99 is two fifths lower, with no more machine time than without redundancy.
- You gain little if the memory is rarely confident (CIFAR), except under load: fewer hedges are sent, because time in the queue does not make a query late.
- You gain nothing at p99 if workers are slow for seconds. Passing slow workers over helps, and every rival with the same dispatch does so.

## Random trouble

${matrix('random')}
## Slow workers that wander

In "hedge, blind" rows go to any idle worker, fast or slow. \`npm run bench -- latency\` also prints loads .3 and .8. p99 is as here; at load .3 p99.9 is 13 to 14 ms with \`auto\`, S = 0, and 21 ms with the hedge.

${matrix('wandering', [0.6])}
## Right in time

Share of queries that were answered within D medians with the model's own label. For \`auto\` each D is a run of its own with \`deadlineMs: D, atDeadline: 'give'\`. With wandering workers every share is at least 99.8 %.

${markdownTable(['', '', ...DEADLINES.map((D) => `D = ${D}`)], inTime)}

## Other laws

**bimodal**: one answer in five takes two and a half times as long, and 2 % ten times. **pauses**: every worker pauses for 50 ms each second. **pool slow**: random trouble, and all workers are three times slower for ten seconds.

${other.join('\n')}
## Streams that change

After half of the run either the digits' model gets images of clothes (**clothes**), or nine in ten queries belong to the five classes that had one in ten before (**mix**). The table has the share of recovered answers with the model's own label: in the worst window of 5,000 queries, in the first 1,000 and 5,000 after the change; and the share of recovered queries.

${markdownTable(['', '', 'worst 5,000', '1,000 after', '5,000 after', 'recovered'], shifts)}
`
  writeFileSync('docs/appendix/latency.md', text)
  writeFileSync('docs/appendix/latency.svg', await svg(plot(over, results)))
  await tail(results)
  console.log('docs/appendix/latency.md')
}

function plot(over: (cell: Cell, of: (figures: Figures) => number) => number, results: Results): TopLevelSpec {
  const systems = ['no redundancy', 'hedge', ...names.map((name) => `auto, ${TITLES[name]}`)]
  const values = (['random', 'wandering'] as const).flatMap((trouble) =>
    LOADS.flatMap((load) => {
      const where = at(trouble, load)
      const rows = [rival(where, 'no redundancy'), rival(where, 'hedge'), ...own(where, OURS[0])]
      return rows.flatMap(({ cell }, i) => {
        if (!runsOf(results, cell).length) return []
        const shown = { trouble: `${trouble}, load ${load}`, system: systems[i] }
        return [
          { ...shown, quantile: 'p99', ms: over(cell, ({ p99 }) => p99) },
          { ...shown, quantile: 'p99.9', ms: over(cell, ({ p999 }) => p999) },
        ]
      })
    }),
  )
  return {
    data: { values },
    width: { step: 36 },
    height: 240,
    mark: { type: 'point', filled: true, size: 70, opacity: 1 },
    encoding: {
      column: { field: 'trouble', title: null, sort: values.map(({ trouble }) => trouble) },
      x: { field: 'quantile', title: null, sort: ['p99', 'p99.9'] },
      y: { field: 'ms', type: 'quantitative', title: 'ms', scale: { type: 'log' } },
      color: { field: 'system', type: 'nominal', title: null, sort: systems },
      shape: { field: 'system', type: 'nominal', title: null, sort: systems },
    },
  }
}
