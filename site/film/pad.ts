/** A digit that is drawn by hand, as MNIST's are: 20 pixels high or wide, with its centre of mass in the middle of 28 x 28. */

import { SIDE } from './packed-digits'

/** The digit's longer side, and how long one waits for another stroke, milliseconds. */
const DIGIT = 20
const ANOTHER_MS = 500
/** From this alpha on a pixel of the pad counts as drawn. */
const INK = 30

export class Pad {
  readonly #canvas: HTMLCanvasElement
  readonly #context: CanvasRenderingContext2D
  readonly #onDigit: (image: Float32Array) => void
  #last: readonly [number, number] | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  /** Whether the next stroke begins a new digit. */
  #isRead = true

  /** @param onBegin  called at each stroke's beginning */
  constructor(canvas: HTMLCanvasElement, onBegin: () => void, onDigit: (image: Float32Array) => void) {
    this.#canvas = canvas
    this.#onDigit = onDigit
    this.#context = canvas.getContext('2d', { willReadFrequently: true }) as CanvasRenderingContext2D
    Object.assign(this.#context, { lineWidth: 22, lineCap: 'round', lineJoin: 'round', strokeStyle: '#fff' })
    const at = ({ offsetX, offsetY }: PointerEvent) => {
      const scale = canvas.width / canvas.clientWidth
      return [offsetX * scale, offsetY * scale] as const
    }
    canvas.addEventListener('pointerdown', (event) => {
      onBegin()
      this.#begin()
      this.#last = at(event)
      this.#line(this.#last)
      canvas.setPointerCapture(event.pointerId)
    })
    canvas.addEventListener('pointermove', (event) => this.#last && this.#line(at(event)))
    for (const end of ['pointerup', 'pointercancel']) canvas.addEventListener(end, () => this.#last && this.#end())
  }

  /** Draws lines from point to point, as a hand would. */
  draw(points: readonly (readonly [number, number])[]): void {
    this.#begin()
    this.#last = points[0]
    for (const point of points) this.#line(point)
    this.#end()
  }

  #begin(): void {
    clearTimeout(this.#timer)
    if (this.#isRead) this.#context.clearRect(0, 0, this.#canvas.width, this.#canvas.height)
    this.#isRead = false
  }

  #line(to: readonly [number, number]): void {
    const context = this.#context
    context.beginPath()
    context.moveTo(...(this.#last ?? to))
    context.lineTo(...to)
    context.stroke()
    this.#last = to
  }

  #end(): void {
    this.#last = undefined
    this.#timer = setTimeout(() => {
      this.#isRead = true
      const image = this.#centred()
      if (image) this.#onDigit(image)
    }, ANOTHER_MS)
  }

  #centred(): Float32Array | undefined {
    const { width, height } = this.#canvas
    const { data } = this.#context.getImageData(0, 0, width, height)
    let [left, top, right, bottom] = [width, height, 0, 0]
    for (let at = 0; at < width * height; at++) {
      if (data[4 * at + 3] <= INK) continue
      const [x, y] = [at % width, Math.floor(at / width)]
      left = Math.min(left, x)
      right = Math.max(right, x + 1)
      top = Math.min(top, y)
      bottom = Math.max(bottom, y + 1)
    }
    const [wide, high] = [right - left, bottom - top]
    if (wide <= 0) return undefined
    const small = document.createElement('canvas')
    small.width = small.height = SIDE
    const context = small.getContext('2d', { willReadFrequently: true }) as CanvasRenderingContext2D
    context.imageSmoothingQuality = 'high'
    const scale = DIGIT / Math.max(wide, high)
    const placed = (x: number, y: number) => {
      context.clearRect(0, 0, SIDE, SIDE)
      context.drawImage(this.#canvas, left, top, wide, high, x, y, wide * scale, high * scale)
      const pixels = context.getImageData(0, 0, SIDE, SIDE).data
      return Float32Array.from({ length: SIDE ** 2 }, (_, i) => pixels[4 * i + 3] / 255)
    }
    const [x, y] = [(SIDE - wide * scale) / 2, (SIDE - high * scale) / 2]
    let [mass, sumX, sumY] = [0, 0, 0]
    for (const [i, value] of placed(x, y).entries()) {
      mass += value
      sumX += value * (i % SIDE)
      sumY += value * Math.floor(i / SIDE)
    }
    const middle = (SIDE - 1) / 2
    return placed(x + middle - sumX / mass, y + middle - sumY / mass)
  }
}
