/** docs/tail.svg: the README's number, p99 on the same machines with random trouble at load .6. */

import { writeFileSync } from 'node:fs'
import type { TopLevelSpec } from 'vega-lite'
import { svg } from '../shared/report'
import { ANY, middle, type Results, runsOf } from './latency'

const BARS = {
  'no redundancy': 'no redundancy',
  'hedged requests': 'hedge',
  approxifer: 'auto, S = 0',
}

export async function tail(results: Results): Promise<void> {
  const values = Object.entries(BARS).map(([name, system]) => {
    const runs = runsOf(results, { model: ANY, trouble: 'random', load: 0.6, shift: 'none', system })
    const ms = middle(runs.map(({ p99 }) => p99)).median
    return { name, ms, label: `${ms.toFixed(0)} ms` }
  })
  writeFileSync('docs/tail.svg', await svg(plot(values)))
}

function plot(values: { name: string; ms: number; label: string }[]): TopLevelSpec {
  const names = values.map(({ name }) => name)
  return {
    data: { values },
    width: 480,
    height: { step: 30 },
    encoding: {
      y: {
        field: 'name',
        type: 'nominal',
        title: null,
        sort: names,
        axis: { ticks: false, domain: false, labelFontSize: 13, labelLimit: 0 },
      },
      x: { field: 'ms', type: 'quantitative', axis: null },
    },
    layer: [
      {
        mark: { type: 'bar', height: 20 },
        encoding: {
          color: {
            field: 'name',
            type: 'nominal',
            legend: null,
            scale: { domain: names, range: ['#b9b9b9', '#8fa8cc', '#0a7d4f'] },
          },
        },
      },
      { mark: { type: 'text', align: 'left', dx: 5, fontSize: 13 }, encoding: { text: { field: 'label' } } },
    ],
    config: { view: { stroke: null } },
  }
}
