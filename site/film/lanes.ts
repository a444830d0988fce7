/** Draws a band's lanes: each digit flies from the callers to its machine, and back with its answer. */

import { SIDE } from './packed-digits'
import { BACK_MS, LATE_MS, type Scene, seconds, THERE_MS } from './scene'

/** A digit's side, where lanes have room for it. */
const MOST_TILE = 18
const LEFT = 4
/** Where the queue, or the predictor, stands. */
const GATE = 76
const COLOURS = ['fg', 'mute', 'line', 'good', 'late', 'lie', 'tile', 'box'] as const
type Colours = Record<(typeof COLOURS)[number], string>

/** As the style sheet has them; they differ by colour scheme. */
export function colours(): Colours {
  const style = getComputedStyle(document.documentElement)
  return Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`)])) as Colours
}

/** The pictures of digits, as masks of white. */
export class Pictures {
  readonly #sheet = document.createElement('canvas')
  readonly #columns = 20
  readonly #context: CanvasRenderingContext2D
  /** Of the digit that was drawn by hand last. */
  readonly #drawn: number

  constructor(bytes: Uint8Array) {
    const count = bytes.length / SIDE ** 2
    this.#sheet.width = this.#columns * SIDE
    this.#sheet.height = (Math.ceil(count / this.#columns) + 1) * SIDE
    this.#context = this.#sheet.getContext('2d') as CanvasRenderingContext2D
    this.#drawn = Math.ceil(count / this.#columns) * this.#columns
    for (let i = 0; i < count; i++) this.#put(i, bytes.subarray(i * SIDE ** 2, (i + 1) * SIDE ** 2))
  }

  #put(place: number, bytes: Uint8Array): void {
    const data = new ImageData(SIDE, SIDE)
    for (const [i, byte] of bytes.entries()) data.data.set([255, 255, 255, byte], 4 * i)
    this.#context.putImageData(data, ...this.#placeOf(place))
  }

  #placeOf(i: number): [number, number] {
    return [(i % this.#columns) * SIDE, Math.floor(i / this.#columns) * SIDE]
  }

  set drawn(image: Float32Array) {
    this.#put(
      this.#drawn,
      Uint8Array.from(image, (value) => 255 * value),
    )
  }

  /** As a picture that need not be drawn anew in each frame. */
  urlOf(digit: number | undefined): string {
    const canvas = document.createElement('canvas')
    canvas.width = canvas.height = SIDE
    this.draw(canvas.getContext('2d') as CanvasRenderingContext2D, digit, 0, 0, SIDE)
    return canvas.toDataURL()
  }

  /** @param digit  undefined: the one that was drawn by hand */
  draw(to: CanvasRenderingContext2D, digit: number | undefined, x: number, y: number, size: number): void {
    const [left, top] = this.#placeOf(digit ?? this.#drawn)
    to.drawImage(this.#sheet, left, top, SIDE, SIDE, x, y, size, size)
  }
}

/** Slows down towards its end. */
const eased = (share: number) => 1 - (1 - Math.min(1, Math.max(0, share))) ** 3

export class Lanes {
  readonly #canvas: HTMLCanvasElement
  readonly #context: CanvasRenderingContext2D
  readonly #lanes: number
  readonly #stopsLies: boolean
  /** Of a digit. */
  #side = MOST_TILE
  colours = colours()
  /** The machine that keys and buttons are for. */
  chosen: number | undefined

  /**
   * @param lanes      how many there are: more than machines, where the last one is the memory's
   * @param stopsLies  whether lies end at what stands between callers and machines
   */
  constructor(canvas: HTMLCanvasElement, lanes: number, stopsLies: boolean) {
    this.#canvas = canvas
    this.#context = canvas.getContext('2d') as CanvasRenderingContext2D
    this.#lanes = lanes
    this.#stopsLies = stopsLies
    this.fit()
  }

  /** To the canvas' size on the page. */
  fit(): void {
    const { clientWidth, clientHeight } = this.#canvas
    this.#canvas.width = Math.round(clientWidth * devicePixelRatio)
    this.#canvas.height = Math.round(clientHeight * devicePixelRatio)
    this.#side = Math.min(MOST_TILE, clientHeight / this.#lanes - 4)
  }

  draw(scene: Scene, now: number, pictures: Pictures): void {
    const { width, height } = this.#canvas
    const c = this.#context
    const scale = devicePixelRatio
    c.setTransform(scale, 0, 0, scale, 0, 0)
    const [wide, lane] = [width / scale, height / scale / this.#lanes]
    c.clearRect(0, 0, wide, height / scale)
    if (this.chosen !== undefined) {
      c.fillStyle = this.colours.box
      c.fillRect(0, this.chosen * lane, wide, lane)
    }
    c.fillStyle = this.colours.line
    for (let i = 0; i < this.#lanes; i++) c.fillRect(0, Math.round(i * lane), wide, 1)
    c.fillStyle = this.colours.mute
    c.globalAlpha = 0.35
    c.fillRect(GATE, 0, 2, height / scale)
    c.globalAlpha = 1
    c.textBaseline = 'middle'
    const far = wide - this.#side - 8
    /** Machines beside which a word stands: two would lie on each other. */
    const said = new Set<number>()
    for (const { machine, digits, began, ended, outcome, label } of scene.calls.values()) {
      if (began > now) continue
      const hasEnded = ended !== undefined && ended <= now
      const y = machine * lane + (lane - this.#side) / 2
      const there = LEFT + (far - LEFT) * eased((now - began) / THERE_MS)
      if (!hasEnded) {
        this.#tile(pictures, digits[0], there, y)
        if (now - began > LATE_MS) this.#late(there, y, now - began)
        continue
      }
      const share = (now - ended) / BACK_MS
      if (share > 1) continue
      if (outcome === 'answered' || outcome === 'lie') {
        const from = LEFT + (far - LEFT) * eased((ended - began) / THERE_MS)
        const isStopped = outcome === 'lie' && this.#stopsLies
        const x = from + ((isStopped ? GATE + 6 : LEFT) - from) * eased(share)
        if (isStopped) c.globalAlpha = Math.min(1, 3 * (1 - share))
        this.#tile(pictures, digits[0], x, y)
        if (outcome === 'lie') this.#ring(x, y, this.colours.lie)
        this.#label(`${label}${outcome === 'lie' ? ' ✗' : ''}`, x, y, outcome === 'lie')
        c.globalAlpha = 1
      } else {
        c.globalAlpha = 1 - eased(share)
        this.#tile(pictures, digits[0], there, y)
        c.globalAlpha = 1
        if (said.has(machine)) continue
        said.add(machine)
        this.#word(outcome === 'failed' ? 'refused' : 'given up', there - 8, y, this.colours.late)
      }
    }
    const y = (this.#lanes - 1) * lane + (lane - this.#side) / 2
    for (const { digit, at, label } of scene.recovered) {
      const since = now - at
      if (since < 0 || since > THERE_MS + BACK_MS) continue
      const isBack = since > THERE_MS
      const share = isBack ? 1 - eased((since - THERE_MS) / BACK_MS) : eased(since / THERE_MS)
      const x = LEFT + (far - LEFT) * share
      this.#tile(pictures, digit, x, y)
      if (isBack) this.#label(String(label), x, y, false)
    }
  }

  #tile(pictures: Pictures, digit: number | undefined, x: number, y: number): void {
    const c = this.#context
    c.fillStyle = this.colours.tile
    c.beginPath()
    c.roundRect(x, y, this.#side, this.#side, 3)
    c.fill()
    pictures.draw(c, digit, x, y, this.#side)
  }

  #ring(x: number, y: number, colour: string): void {
    const c = this.#context
    c.strokeStyle = colour
    c.lineWidth = 2
    c.beginPath()
    c.roundRect(x - 1, y - 1, this.#side + 2, this.#side + 2, 4)
    c.stroke()
  }

  #late(x: number, y: number, ms: number): void {
    this.#ring(x, y, this.colours.late)
    this.#word(`late ${seconds(ms)}`, x - 8, y, this.colours.late)
  }

  /** To the left of a digit. */
  #word(text: string, x: number, y: number, colour: string): void {
    const c = this.#context
    c.font = '600 12px system-ui, sans-serif'
    c.textAlign = 'right'
    c.fillStyle = colour
    c.fillText(text, x, y + this.#side / 2 + 1)
  }

  #label(text: string, x: number, y: number, isLie: boolean): void {
    const c = this.#context
    c.font = '700 15px system-ui, sans-serif'
    c.textAlign = 'left'
    c.fillStyle = isLie ? this.colours.lie : this.colours.good
    c.fillText(text, x + this.#side + 5, y + this.#side / 2 + 1)
  }
}
