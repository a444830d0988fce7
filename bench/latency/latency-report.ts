/** Writes the sections of docs/appendix/performance.md that bench latency measures, and the plots of that page and of the README. */

import { readFileSync, writeFileSync } from 'node:fs'
import type { TopLevelSpec } from 'vega-lite'
import type { ModelName } from '../shared/models'
import { markdownTable, svg, withSection } from '../shared/report'
import { ANY, type Cell, hedgeOf, middle, names, paired, type Results, runsOf, sum } from './latency'
import { BLOCK, DEADLINES, type Figures, WORKERS } from './latency-run'
import { tail } from './tail'

const TITLES: Record<ModelName, string> = {
  'mnist-lenet': 'MNIST',
  'fashion-lenet': 'Fashion',
  'cifar-resnet8': 'CIFAR',
}
const PAGE = 'docs/appendix/performance.md'
const COLUMNS = ['', 'p50', 'p99', 'p99.9', 'machine time', 'recovered (right)', 'seeds']
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
  const ratio = (cell: Cell) => middle(paired(results, cell, hedgeOf(cell)).map(([a, b]) => a.p99 / b.p99))
  const beside = (cell: Cell) => {
    const { median, low, high } = ratio(cell)
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
  const times = (cell: Cell) =>
    [over(cell, ({ p50 }) => p50), over(cell, ({ p99 }) => p99), over(cell, ({ p999 }) => p999), over(cell, ({ machineMs }) => machineMs)].map((ms) => ms.toFixed(1)) // biome-ignore format: one line
  const line = ({ name, cell }: Row) => [name, ...times(cell), recovered(cell), String(runsOf(results, cell).length)]
  const measured = (rows: readonly Row[]) => rows.filter(({ cell }) => runsOf(results, cell).length > 0)
  const base = (where: Where) => [rival(where, 'no redundancy'), rival(where, 'hedge')]
  const ours = (where: Where) => OURS.flatMap((system) => own(where, system))

  /** A sentence for each place where the hedge is better for sure. */
  const hedgeWins = (places: readonly Where[]) => {
    const all = places.flatMap((where) => {
      const worse = ours(where).filter(({ cell }) => ratio(cell).low > 1)
      const which = worse.length === ours(where).length ? 'every `auto`' : worse.map(({ name }) => name).join('; ')
      return worse.length ? `**The hedge has a lower p99 than** ${which} (${where.trouble}, load ${where.load}).` : []
    })
    return all.length ? all.join(' ') : 'The hedge has the lower p99 in none of them.'
  }
  const inOneLine = (where: Where) => {
    const p = ({ cell }: Row) => times(cell).slice(1, 3).join(' / ')
    return [`${where.trouble}, ${where.load}`, ...[...base(where), ...own(where, OURS[0])].map(p)]
  }
  const HEAD = ['p99 / p99.9, ms', 'no redundancy', 'hedge', ...names.map((name) => `auto, ${TITLES[name]}`)]

  const minute = markdownTable(HEAD, [at('random', 0.6), at('random', 0.8), at('wandering', 0.6), at('wandering', 0.8)].map(inOneLine)) // biome-ignore format: one line
  const first = at('random', 0.6)
  const random = measured([
    ...base(first),
    rival(first, 'retry'),
    rival(first, 'twice each'),
    ...own(first, 'paper’s code').slice(0, 1),
    ...[OURS[0], 'recover, S = 0'].flatMap((system) => own(first, system)),
  ])
  const byLoad = ours(first).map(({ name, cell }) => [name, ...LOADS.map((load) => beside({ ...cell, load }))])
  const wander = at('wandering', 0.6)
  const wandering = measured([...base(wander), rival(wander, 'hedge, blind'), ...own(wander, OURS[0])])

  const most = Math.max(...ours(wander).map(({ cell }) => ratio(cell).median))

  const inTime = [0.6, 0.8].flatMap((load) => {
    const where = at('random', load)
    const shares = (cells: (D: number) => Cell) =>
      DEADLINES.map((D) => {
        const runs = runsOf(results, cells(D))
        return runs.length ? percent(middle(runs.map(({ inTime }) => inTime[D] ?? Number.NaN)).median, 2) : ''
      })
    const hedge = shares(() => ({ ...where, model: ANY, system: 'hedge' }))
    const rows = own(where, OURS[0]).map(({ name, cell }) => [name, ...shares((deadline) => ({ ...cell, deadline }))])
    return [['hedge', ...hedge], ...rows].map(([name, ...cells]) => [`load ${load}, ${name}`, ...cells])
  })

  const shifts = (['clothes', 'mix'] as const).flatMap((shift) =>
    own(at('random', 0.6, shift), OURS[0]).flatMap(({ name, cell }) => {
      const runs = runsOf(results, cell)
      if (!runs.length) return []
      const [got, right] = [(i: number) => sum(runs.map((each) => each.recovered[i])), (i: number) => sum(runs.map((each) => each.agreed[i]))] // biome-ignore format: one line
      const blocks = runs[0].recovered.map((_, i) => i)
      const share = (some: readonly number[]) => sum(some.map(right)) / sum(some.map(got))
      const windows = blocks.slice(0, -9).map((i) => share(blocks.slice(i, i + 5000 / BLOCK)))
      const after = blocks.slice(8)
      const asked = BLOCK * runs.length
      return [[`${shift}, ${name}`, percent(Math.min(...windows)), percent(share(after.slice(0, 2))), percent(share(after)), percent(sum(after.map(got)) / (asked * after.length))]] // biome-ignore format: one line
    }),
  )

  const costs = names.map((name) => {
    const { lookUp, comparing, step } = results.costs[name]
    return [TITLES[name], ...[lookUp, comparing, step].map((ms) => `${ms.toFixed(3)} ms`)]
  })
  const others = [at('bimodal', 0.6), at('pauses', 0.6), at('pool slow', 0.3)]

  const sections = [
    `## p99 in one minute

${WORKERS} workers share one queue. Times are in ms, load is a share of the workers' capacity. In "random" 2 % of calls take ten times as long; in "wandering" two workers are five times slower for some seconds.

${minute}

![p99 and p99.9 of each system, at three loads](latency.svg)

- **You gain** if calls are slow at random and the memory knows your queries (MNIST, Fashion). p99 is two fifths below the hedge's, with no more machine time than without redundancy.
- **You gain little** if the memory is rarely confident (CIFAR), except under load. approxifer sends fewer hedges there, because time in the queue does not make a query late.
- **You gain nothing at p99** if workers are slow for seconds. It helps to pass slow workers over, and every rival with the same dispatch does so.
`,
    `## How latency is measured

Time is simulated. Queries arrive by a Poisson process. Answer times are lognormal with a median of 10 ms and a sigma of .1. Every five seconds, "wandering" slows two other workers.

Workers give the answers of real models to their 10,000 test images. A seed is one pass over the images; the memory learns the first 1,000, which are not counted. Predictor, pool and memory are real. The clock is charged for the memory's processor time, measured first with 1,000 pairs:

${markdownTable(['', 'lookup', 'training, a step of the pass', 'a further step'], costs)}

Rivals have the same arrivals, queue and dispatch:

- **hedge**: a query that takes longer than the running 95th percentile is also sent to another worker, for at most one query in ten. Queued duplicates are cancelled.
- **S = 0**: no coding; the memory or a hedge answers late queries. **S = 1**: parities too, while no memory is warm.

A query's time starts when it was due, also if the coordinator was busy. Times are medians over seeds, ratios are medians of paired seeds. Brackets contain the median in 95 of 100 cases; with fewer than six seeds they are the range.
`,
    `## Random trouble

Load .6, times in ms. Machine time is per query, "right" is the share of recovered answers with the model's own label. \`npm run bench -- latency\` prints all other loads and systems.

${markdownTable(COLUMNS, random.map(line))}

The ratio of p99 to the hedge's p99, by load:

${markdownTable(['', ...LOADS.map(String)], byLoad)}

${hedgeWins(LOADS.map((load) => at('random', load)))}
`,
    `## Slow workers that wander

Load .6. The "blind" hedge sends rows to any idle worker, fast or slow.

${markdownTable(COLUMNS, wandering.map(line))}

${hedgeWins([wander])} p99 is at most ${most.toFixed(2)} times the hedge's.
`,
    `## Right in time

The share of queries that were answered within D medians with the model's own label. For \`auto\` each D is a run of its own with \`deadlineMs: D, atDeadline: 'give'\`. With wandering workers every share is at least 99.8 %.

${markdownTable(['', ...DEADLINES.map((D) => `D = ${D}`)], inTime)}
`,
    `## Other laws

**bimodal**: one answer in five takes two and a half times as long, and 2 % ten times. **pauses**: every worker pauses for 50 ms each second. **pool slow**: random trouble, and all workers are three times slower for ten seconds.

${markdownTable(HEAD, others.map(inOneLine))}

${hedgeWins(others)} More laws, without a memory: [laws](laws.md).
`,
    `## Streams that change

What does the memory do when queries change? After half of the run the digits' model gets images of clothes (**clothes**). In **mix** nine in ten queries belong to the five classes that had one in ten before. The shares are recovered answers with the model's own label: in the worst window of 5,000 queries, and after the change.

${markdownTable(['', 'worst 5,000', 'next 1,000', 'next 5,000', 'recovered of all'], shifts)}
`,
  ]
  writeFileSync(
    PAGE,
    sections.reduce((page, section) => withSection(page, section), readFileSync(PAGE, 'utf8')),
  )
  writeFileSync('docs/appendix/latency.svg', await svg(plot(over, results)))
  await tail(results)
  console.log(PAGE)
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
