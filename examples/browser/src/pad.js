/** A canvas to draw a digit on, and the digit as MNIST has its digits. */

const SIZE = 560
const PEN = 46
/** A stroke that begins later belongs to the next digit. */
const NEXT_DIGIT_MS = 1500

/** A digit each, in one stroke or two, on a pad of 100 x 100. */
const SAMPLES = [
  'M50 16C24 16 24 84 50 84S76 16 50 16',
  'M38 32L54 16V84',
  'M30 34C30 8 72 10 68 36C66 52 40 66 28 84H72',
  'M30 22C48 10 70 18 66 34C64 46 50 48 44 48C60 48 72 56 68 70C64 86 40 88 28 76',
  'M36 16L28 54H70M62 30L58 86',
  'M70 16H38L34 46C52 38 72 46 70 64C68 84 42 90 28 76',
  'M62 14C42 26 30 48 32 66C34 88 68 88 68 66C68 46 40 46 33 62',
  'M28 20H72C60 40 50 60 46 86',
  'M66 26C58 10 32 16 36 34C38 48 68 52 68 70C66 90 32 88 34 68C36 52 64 44 66 26',
  'M66 36C66 54 34 56 34 36C34 14 66 12 66 36C66 54 62 70 54 86',
]

/**
 * @param canvas  to draw on
 * @param onDigit  called after each stroke with the digit: Float32Array of 28 x 28 values from 0 to 1
 * @returns a function that writes a digit, as if the visitor had drawn it
 */
export function createPad(canvas, onDigit) {
  canvas.width = canvas.height = SIZE
  const context = canvas.getContext('2d', { willReadFrequently: true })
  Object.assign(context, { lineWidth: PEN, lineCap: 'round', lineJoin: 'round' })
  const at = ({ offsetX, offsetY }) => [(offsetX / canvas.clientWidth) * SIZE, (offsetY / canvas.clientHeight) * SIZE]
  function clear() {
    context.clearRect(0, 0, SIZE, SIZE)
    context.strokeStyle = getComputedStyle(canvas).color // that of the style sheet, dark or light
  }
  let last
  let endedAt = -Infinity

  function line(event) {
    if (!last || !event.isPrimary) return
    context.beginPath()
    context.moveTo(...last)
    last = at(event)
    context.lineTo(...last)
    context.stroke()
  }
  canvas.onpointerdown = (event) => {
    if (!event.isPrimary) return // a second finger
    if (event.timeStamp - endedAt > NEXT_DIGIT_MS) clear()
    canvas.setPointerCapture(event.pointerId) // the stroke may leave the pad
    last = at(event)
    line(event)
  }
  canvas.onpointermove = line
  canvas.onpointerup = canvas.onpointercancel = ({ timeStamp }) => {
    last = undefined
    endedAt = timeStamp
    onDigit(digitOn(canvas))
  }
  return (digit) => {
    clear()
    context.save()
    context.scale(SIZE / 100, SIZE / 100)
    context.lineWidth = (PEN * 100) / SIZE
    context.stroke(new Path2D(SAMPLES[digit]))
    context.restore()
    endedAt = -Infinity
    onDigit(digitOn(canvas))
  }
}

/** As MNIST has its digits: 20 of 28 pixels high or wide, with the centre of mass in the middle. */
function digitOn(canvas) {
  const ink = inkOf(canvas)
  const [left, right] = extentOf(ink.map(({ x }) => x))
  const [top, bottom] = extentOf(ink.map(({ y }) => y))
  const mass = ink.reduce((sum, { weight }) => sum + weight, 0)
  const middle = (axis) => ink.reduce((sum, dot) => sum + dot.weight * dot[axis], 0) / mass
  const [middleX, middleY] = [middle('x'), middle('y')]
  const scale = 20 / Math.max(right - left, bottom - top)
  const image = new Float32Array(28 * 28)
  for (const { x, y, weight } of ink) {
    const column = Math.floor(14 + (x - middleX) * scale)
    const row = Math.floor(14 + (y - middleY) * scale)
    if (column >= 0 && column < 28 && row >= 0 && row < 28) image[28 * row + column] += weight * scale ** 2
  }
  return image.map((value) => Math.min(1, value))
}

/** The pixels that are not empty, and from 0 to 1 how full they are. */
function inkOf(canvas) {
  const { data } = canvas.getContext('2d').getImageData(0, 0, SIZE, SIZE)
  const ink = []
  for (let i = 0; i < SIZE ** 2; i++) {
    const weight = data[4 * i + 3] / 255
    if (weight > 0) ink.push({ x: i % SIZE, y: Math.floor(i / SIZE), weight })
  }
  return ink
}

const extentOf = (values) => [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b)) + 1]
