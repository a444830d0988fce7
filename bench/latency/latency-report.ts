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
const SHIFT_COLUMNS = [
  '',
  'right: worst 5,000 in a row',
  'right: first 1,000 after the change',
  'right: first 5,000 after the change',
  'recovered, of all after the change',
]
const percent = (share: number, digits = 1) => `${(100 * share).toFixed(digits)} %`
const OURS = ['auto, S = 0', 'auto, S = 1']
const LOADS = [0.3, 0.6, 0.8]

/** Systems, as the page names them. */
const NAMES: Record<string, string> = {
  'auto, S = 0': 'auto',
  'auto, S = 1': 'auto with parities',
  'recover, S = 0': 'recover',
  'hedge, blind': 'blind hedge',
  'twice each': 'each query twice',
}
const nameOf = (system: string) => NAMES[system] ?? system

type Where = Omit<Cell, 'model' | 'system'>
const at = (trouble: Cell['trouble'], load: number, shift: Cell['shift'] = 'none'): Where => ({ trouble, load, shift })

/** What a table shows of a cell. */
interface Row {
  name: string
  cell: Cell
}

const rival = (where: Where, system: string): Row => ({ name: nameOf(system), cell: { ...where, model: ANY, system } })
const own = (where: Where, system: string): Row[] =>
  names.map((model) => ({ name: `${TITLES[model]}: ${nameOf(system)}`, cell: { ...where, model, system } }))

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

  /** A sentence for each place where the hedge is better for sure; loads at which the same systems are worse share one. */
  const hedgeWins = (places: readonly Where[]) => {
    const loads = new Map<string, number[]>()
    for (const where of places) {
      const worse = ours(where).filter(({ cell }) => ratio(cell).low > 1)
      if (!worse.length) continue
      const which =
        worse.length === ours(where).length
          ? 'approxifer with any of the three models'
          : worse.map(({ name }) => name).join(' and ')
      const key = JSON.stringify([where.trouble, which])
      loads.set(key, [...(loads.get(key) ?? []), where.load])
    }
    const all = [...loads].map(([key, at]) => {
      const [trouble, which] = JSON.parse(key)
      return `In "${trouble}" at load ${at.join(' and ')} **the hedge has a lower p99** than ${which}.`
    })
    return all.length ? all.join(' ') : 'The hedge has a lower p99 in none of these cases.'
  }
  const inOneLine = (where: Where) => {
    const p = ({ cell }: Row) => times(cell).slice(1, 3).join(' / ')
    return [`${where.trouble}, load ${where.load}`, ...[...base(where), ...own(where, OURS[0])].map(p)]
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

${WORKERS} workers share one queue. Load is a share of their capacity. In "random" 2 % of calls take ten times as long. In "wandering" two workers at a time are five times slower for some seconds. "auto" is approxifer with \`policy: 'auto'\`, measured with models for MNIST, Fashion-MNIST and CIFAR-10.

${minute}

![p99 and p99.9 of each system, at three loads](latency.svg)

- **You gain** if calls are slow at random and the memory knows similar queries (MNIST, Fashion). p99 is then two fifths below the hedge's p99. Machine time is about the same as without redundancy.
- **You gain little** if the memory is rarely confident (CIFAR), except at a load of .8. Under load approxifer sends fewer hedges than the rival, because it does not count time in the queue as lateness.
- **You gain nothing at p99** if workers are slow for seconds. What helps is to send slow workers no queries, which all rivals in this table do as well.
`,
    `## How latency is measured

Time is simulated. Queries arrive as a Poisson process. Answer times are lognormal with a median of 10 ms and a sigma of .1. In "wandering" two other workers become slow every five seconds.

Simulated workers return the answers that a real model gave to the 10,000 images of its test set. A seed is one run over these images in random order. The memory learns the first 1,000 images, which are not counted. Predictor, pool and memory are the real code. The memory's processor time is added to the simulated time. That time was measured beforehand, with 1,000 query-answer pairs in the memory:

${markdownTable(['', 'a lookup', 'training: comparing an answer with the memory', 'training: each further step'], costs)}

The rivals get the same queries as approxifer, and use its queue and dispatch. Names in the tables:

- **hedge**: a rival. If a query takes longer than the 95th percentile of recent ones, a second worker gets it, too. At most one query in ten is sent twice. Duplicates that still wait when the answer comes are cancelled.
- **auto**: approxifer with policy \`auto\` and no coding. The memory or a hedge answers a late query.
- **auto with parities**: the same policy, with coding (\`stragglers: 1\`) while the memory is not warm yet.
- **retry**, **recover**: approxifer with these policies and no coding.

A query's time starts when the query was due, even if the coordinator was busy then. Times are medians over seeds. Ratios are computed per seed; the table has their medians. Square brackets are a 95 % confidence interval of the median. With fewer than six seeds they are the lowest and highest value.
`,
    `## Random trouble

The load is .6, times are in ms. "Machine time" is the time of all workers per query. "Recovered" is the share of queries that the memory or the code answered. In parentheses is the share of recovered answers that have the model's own label. \`npm run bench -- latency\` prints all other loads and systems.

${markdownTable(COLUMNS, random.map(line))}

approxifer's p99 divided by the hedge's p99, by load:

${markdownTable(['', ...LOADS.map((load) => `load ${load}`)], byLoad)}

${hedgeWins(LOADS.map((load) => at('random', load)))}
`,
    `## Slow workers that wander

The load is .6, times are in ms. The "blind hedge" sends queries to any idle worker, fast or slow.

${markdownTable(COLUMNS, wandering.map(line))}

${hedgeWins([wander])} approxifer's p99 is at most ${most.toFixed(2)} times the hedge's p99.
`,
    `## Right in time

The table has the share of queries that got the model's own label within 1.5, 2 or 3 times the median answer time. For \`auto\` each deadline is a separate run, with \`deadlineMs\` and \`atDeadline: 'give'\`. The rows are "random"; in "wandering" every share is at least 99.8 %.

${markdownTable(['', ...DEADLINES.map((D) => `within ${D} medians`)], inTime)}
`,
    `## Other laws

- **bimodal**: one answer in five takes two and a half times as long, and 2 % of all take ten times as long.
- **pauses**: every worker pauses for 50 ms once a second.
- **pool slow**: 2 % of all calls take ten times as long, and for ten seconds all workers are three times slower.

${markdownTable(HEAD, others.map(inOneLine))}

${hedgeWins(others)} [Any law of answer times](laws.md) has more laws, without a memory.
`,
    `## Streams that change

What does the memory do when queries change after half of the run? In **clothes** the model for digits then gets images of clothes. In **mix** five of the ten classes together get one query in ten before the change, and nine in ten after it. "Right" is the share of recovered answers that have the model's own label.

${markdownTable(SHIFT_COLUMNS, shifts)}
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
