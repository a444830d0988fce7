/** The plot of latencies of the last minute. Its numbers stand in words below it. */

import uPlot from 'uplot'
import { PLOTTED_S } from './recent'

const HEIGHT = 150

export class LatencyPlot {
  readonly element = document.createElement('div')
  #plot: uPlot | undefined
  readonly #seconds = Array.from({ length: PLOTTED_S }, (_, i) => i - PLOTTED_S)

  constructor() {
    this.element.className = 'plot'
    this.element.setAttribute('aria-hidden', 'true')
    new ResizeObserver(() => this.#plot?.setSize({ width: this.element.clientWidth, height: HEIGHT })).observe(
      this.element,
    )
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.#plot?.destroy()
      this.#plot = undefined
    })
  }

  /** Milliseconds of each second. */
  show(half: (number | null)[], most: (number | null)[]): void {
    if (!this.element.clientWidth) return
    this.#plot ??= this.#newPlot()
    this.#plot.setData([this.#seconds, half, most])
  }

  #newPlot(): uPlot {
    const style = getComputedStyle(this.element)
    const [text, line, own, other] = ['--muted', '--line', '--answered', '--late'].map((name) =>
      style.getPropertyValue(name).trim(),
    )
    const axis = {
      stroke: text,
      font: '12px system-ui, sans-serif',
      grid: { stroke: line, width: 1 },
      ticks: { show: false },
    }
    return new uPlot(
      {
        width: this.element.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { time: false }, y: { range: (_, __, most) => [0, Math.max(1, (most ?? 0) * 1.1)] } },
        axes: [
          { ...axis, size: 26, values: (_, ticks) => ticks.map((tick) => (tick ? `${tick} s` : 'now')) },
          {
            ...axis,
            size: 60,
            values: (_, ticks) => ticks.map((tick) => (tick < 1000 ? `${tick} ms` : `${tick / 1000} s`)),
          },
        ],
        series: [{}, { stroke: own, width: 2 }, { stroke: other, width: 2, dash: [6, 4] }],
      },
      [this.#seconds, [], []],
      this.element,
    )
  }
}
