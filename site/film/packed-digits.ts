/**
 * The digits in few bytes: each pixel is one of 16 grey levels, written by an adaptive binary range coder (the one of LZMA, Pavlov 1998), which
 * foretells it from six pixels beside and above. 400 digits take 23 KB instead of the 37 KB that gzip makes of them. Then the answers, in steps of
 * 1/32.
 */

import type { Digits } from '../../src/film/digits'

export const SIDE = 28
const PIXELS = SIDE * SIDE
const LEVELS = 16
const STEPS = 32
const CLASSES = 10

/** Probabilities have 12 bits, and move by a 16th of their error. */
const [ONE, RATE, TOP] = [12, 4, 2 ** 24]

/** What reads or writes a bit that is 0 with a probability, and returns it. */
type Coder = (bit: number, zero: number) => number

/** Of a pixel, for the context of the next ones: black, dark, grey or white. */
const tone = (level: number) => (level ? 1 + Number(level > 5) + Number(level > 12) : 0)

/** Goes over all pixels; the coder has each bit, or is told it. */
function code(pixels: Uint8Array, coder: Coder): void {
  const zeros = new Uint16Array(4 ** 4 * 4 * LEVELS).fill(1 << (ONE - 1))
  let [at, x, y] = [0, 0, 0]
  const pixel = (dx: number, dy: number) =>
    x + dx < 0 || x + dx >= SIDE || y + dy < 0 ? 0 : pixels[at + dx + dy * SIDE]
  for (; at < pixels.length; at++) {
    x = at % SIDE
    y = Math.floor(at / SIDE) % SIDE
    let context = tone(pixel(-1, 0)) * 4 + tone(pixel(0, -1))
    context = (context * 4 + tone(pixel(1, -1))) * 4 + tone(pixel(-1, -1))
    context = 4 * context + 2 * Number(pixel(-2, 0) > 0) + Number(pixel(0, -2) > 0)
    let node = 1
    for (let bit = LEVELS / 2; bit; bit >>= 1) {
      const slot = context * LEVELS + node
      const got = coder(Number((pixels[at] & bit) > 0), zeros[slot])
      zeros[slot] += got ? -(zeros[slot] >> RATE) : ((1 << ONE) - zeros[slot]) >> RATE
      node = 2 * node + got
    }
    pixels[at] = node - LEVELS
  }
}

export function packDigits({ images, answers }: Digits): Uint8Array<ArrayBuffer> {
  const bytes: number[] = []
  let [low, range] = [0, 2 ** 32 - 1]
  const shift = () => {
    bytes.push(Math.floor(low / TOP) % 256)
    low = (low % TOP) * 256
  }
  const carry = () => {
    if (low < 2 ** 32) return
    low -= 2 ** 32
    for (let at = bytes.length - 1; ++bytes[at] === 256; at--) bytes[at] = 0
  }
  const pixels = Uint8Array.from(
    images.flatMap((image) => Array.from(image, (value) => Math.round((LEVELS - 1) * value))),
  )
  code(pixels, (bit, zero) => {
    const bound = Math.floor(range / 2 ** ONE) * zero
    if (bit) {
      low += bound
      range -= bound
      carry()
    } else range = bound
    for (; range < TOP; range *= 256) shift()
    return bit
  })
  for (let i = 0; i < 4; i++) shift()
  const rounded = Int16Array.from(answers.flatMap((answer) => Array.from(answer, (value) => Math.round(STEPS * value))))
  const head = Uint32Array.of(images.length, bytes.length)
  return Uint8Array.from([...new Uint8Array(head.buffer), ...new Uint8Array(rounded.buffer), ...bytes])
}

export function unpackDigits(packed: Uint8Array<ArrayBuffer>): Digits & { readonly pictures: Uint8Array } {
  const [count] = new Uint32Array(packed.buffer, 0, 2)
  const rounded = new Int16Array(packed.buffer, 8, count * CLASSES)
  let at = 8 + rounded.byteLength
  let [value, range] = [0, 2 ** 32 - 1]
  const next = () => {
    value = value * 256 + (packed[at++] ?? 0)
  }
  for (let i = 0; i < 4; i++) next()
  const pictures = new Uint8Array(count * PIXELS)
  code(pictures, (_, zero) => {
    const bound = Math.floor(range / 2 ** ONE) * zero
    const bit = Number(value >= bound)
    if (bit) {
      value -= bound
      range -= bound
    } else range = bound
    for (; range < TOP; range *= 256) next()
    return bit
  })
  const numbers = Array.from({ length: count }, (_, i) => i)
  for (let i = 0; i < pictures.length; i++) pictures[i] *= 255 / (LEVELS - 1)
  return {
    pictures,
    images: numbers.map((i) =>
      Float32Array.from(pictures.subarray(i * PIXELS, (i + 1) * PIXELS), (byte) => byte / 255),
    ),
    answers: numbers.map((i) =>
      Float32Array.from(rounded.subarray(i * CLASSES, (i + 1) * CLASSES), (step) => step / STEPS),
    ),
    signature: {
      inputs: [{ name: 'input', shape: [1, SIDE, SIDE] }],
      outputs: [{ name: 'logits', shape: [CLASSES] }],
    },
  }
}
