/**
 * The lanes of all workers over ten seconds, on one canvas. A bar that has ended is drawn once, on a hidden strip of ten seconds that is written
 * cyclically. Each frame copies the strip, from the present backwards, and draws the bars at work over it. At 200 answers a second 2,000 bars are
 * visible; with the strip the page's script takes .013 of a core (`npm run bench -- page`).
 */

import { type Bar, type BarOutcome, type RecentWork, WINDOW_MS } from './recent'

const COLOURS: readonly BarOutcome[] = ['answered', 'working', 'late', 'unneeded', 'lost', 'lied']
/** CSS pixels: of the narrowest bar, and of the marks for what was lost or lied. */
const NARROWEST = 1.5
const MARK = 9

export class Lanes {
  readonly canvas = document.createElement('canvas')
  readonly #screen = this.canvas.getContext('2d') as CanvasRenderingContext2D
  readonly #strip = document.createElement('canvas').getContext('2d') as CanvasRenderingContext2D
  #colours = {} as Record<BarOutcome, string>
  /** Index of each worker that has a lane. */
  #lanes = new Map<string, number>()
  /** CSS pixels: of a lane, and of the bars in it. */
  #height = 0
  #top = 0
  #high = 0
  #ratio = 1
  /** Columns of the strip up to which it is drawn, counted from 1970; undefined: it has to be drawn anew. */
  #head: number | undefined

  constructor() {
    const renew = () => {
      this.#head = undefined
    }
    new ResizeObserver(renew).observe(this.canvas)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', renew)
  }

  /** @param workers  that have a lane, from top to bottom */
  show(workers: readonly string[]): void {
    if (workers.length === this.#lanes.size && workers.every((worker, i) => this.#lanes.get(worker) === i)) return
    this.#lanes = new Map(workers.map((worker, i) => [worker, i]))
    this.#head = undefined
  }

  renew(): void {
    this.#head = undefined
  }

  draw(recent: RecentWork): void {
    const { canvas } = this
    if (!canvas.isConnected) return
    const isAnew = this.#head === undefined
    if (isAnew) this.#measure()
    const { width, height } = canvas
    if (!width || !height) return
    const head = Math.floor((recent.now / WINDOW_MS) * width)
    this.#wipe(isAnew ? head - width : (this.#head as number), head)
    this.#head = head
    const fresh = recent.takeFresh()
    for (const bar of isAnew ? recent.ended : fresh) this.#onStrip(bar, head)
    const from = (head + 1) % width
    this.#screen.clearRect(0, 0, width, height)
    this.#screen.drawImage(this.#strip.canvas, -from, 0)
    this.#screen.drawImage(this.#strip.canvas, width - from, 0)
    for (const bar of recent.working) {
      const [begun, ended] = this.#columns(bar, recent.now, head)
      this.#bar(this.#screen, bar, begun - head + width - 1, ended - begun)
    }
  }

  /** Reads sizes and colours of the style sheet. */
  #measure(): void {
    const style = getComputedStyle(this.canvas)
    const numberOf = (name: string) => Number.parseFloat(style.getPropertyValue(name))
    this.#height = numberOf('--lane-height')
    this.#top = numberOf('--bar-top')
    this.#high = numberOf('--bar-height')
    this.#colours = Object.fromEntries(
      COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
    ) as Record<BarOutcome, string>
    this.#ratio = Math.min(devicePixelRatio, 2)
    for (const canvas of [this.canvas, this.#strip.canvas]) {
      canvas.width = Math.round(this.canvas.clientWidth * this.#ratio)
      canvas.height = Math.round(this.canvas.clientHeight * this.#ratio)
    }
  }

  /** Columns behind the first up to the last. */
  #wipe(after: number, upTo: number): void {
    const { width, height } = this.canvas
    const count = Math.min(width, upTo - after)
    const from = (upTo - count + 1) % width
    this.#strip.clearRect(from, 0, count, height)
    this.#strip.clearRect(from - width, 0, count, height)
  }

  #onStrip(bar: Bar, head: number): void {
    const { width } = this.canvas
    const [begun, ended] = this.#columns(bar, bar.ended, head)
    const turn = Math.floor(begun / width) * width
    this.#bar(this.#strip, bar, begun - turn, ended - begun)
    if (ended >= turn + width) this.#bar(this.#strip, bar, begun - turn - width, ended - begun) // it goes on at the strip's left edge
  }

  /** From where to where a bar is drawn, counted from 1970. */
  #columns({ began, outcome }: Bar, until: number, head: number): [begun: number, ended: number] {
    const { width } = this.canvas
    const ended = Math.min(Math.floor((until / WINDOW_MS) * width), head)
    const begun = Math.max(Math.floor((began / WINDOW_MS) * width), head - width + 1)
    const least = outcome === 'lost' || outcome === 'lied' ? MARK : NARROWEST
    return [Math.min(begun, ended - Math.round(least * this.#ratio)), ended]
  }

  #bar(to: CanvasRenderingContext2D, { worker, outcome }: Bar, left: number, wide: number): void {
    const lane = this.#lanes.get(worker)
    if (lane === undefined) return
    const ratio = this.#ratio
    const [top, high] = [(lane * this.#height + this.#top) * ratio, this.#high * ratio]
    to.fillStyle = to.strokeStyle = this.#colours[outcome]
    shapes[outcome](to, left, top, wide, high, ratio)
  }
}

type Shape = (to: CanvasRenderingContext2D, x: number, y: number, wide: number, high: number, ratio: number) => void

/** Each is known by its form alone; the legend has them, too. */
const shapes: Record<BarOutcome, Shape> = {
  answered: (to, x, y, wide, high) => to.fillRect(x, y, wide, high),
  working: (to, x, y, wide, high, ratio) => {
    to.lineWidth = ratio
    to.strokeRect(x + ratio / 2, y + ratio / 2, Math.max(ratio, wide - ratio), high - ratio)
  },
  late: (to, x, y, wide, high) => to.fillRect(x, y + high / 2, wide, high / 2),
  unneeded: (to, x, y, wide, high, ratio) => to.fillRect(x, y + high / 2 - ratio, wide, 2 * ratio),
  lost: (to, x, y, wide, high, ratio) => {
    const [right, middle, size] = [x + wide, y + high / 2, MARK * ratio]
    to.fillRect(x, middle - ratio / 2, wide, ratio)
    to.lineWidth = 2 * ratio
    to.beginPath()
    to.moveTo(right - size, middle - size / 2)
    to.lineTo(right, middle + size / 2)
    to.moveTo(right - size, middle + size / 2)
    to.lineTo(right, middle - size / 2)
    to.stroke()
  },
  lied: (to, x, y, wide, high) => {
    to.beginPath()
    to.moveTo(x, y)
    to.lineTo(x + wide, y)
    to.lineTo(x + wide / 2, y + high)
    to.fill()
  },
}
