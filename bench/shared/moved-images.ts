/** Four times as many images: each as it is, and moved by a pixel in three directions. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { answersOf } from '../../src/evaluate/model'
import { dataOf, type ModelName, modelOf } from './models'

/** To the right and down, in pixels. */
const MOVES = [
  [0, 0],
  [1, 0],
  [-1, 0],
  [0, 1],
] as const

/** An image of shape [1, channels, height, width], what leaves it on one side left out and 0 on the other. */
function moved(image: Float32Array, [, , height, width]: readonly number[], [right, down]: readonly number[]) {
  return image.map((_, at) => {
    const [row, column] = [Math.floor(at / width) % height, at % width]
    const isInside = row >= down && row - down < height && column >= right && column - right < width
    return isInside ? image[at - down * width - right] : 0
  })
}

/** The queries and the model's answers, which are kept in build/. */
export async function queriesOf(name: ModelName) {
  const { inputs: images, answers: own, signature } = await dataOf(name)
  const shape = [1, ...signature.inputs[0].shape].slice(-4)
  const inputs = MOVES.flatMap((move) => images.map((image) => moved(image, shape, move)))
  const file = `build/answers-${name}-moved.f32`
  if (!existsSync(file)) {
    const all = await answersOf(await modelOf(name), inputs.slice(images.length))
    writeFileSync(file, new Uint8Array(Float32Array.from(all.flatMap((answer) => [...answer])).buffer))
  }
  const values = new Float32Array(new Uint8Array(readFileSync(file)).buffer)
  const { length } = own[0]
  const answers = inputs.map((_, i) =>
    i < own.length ? own[i] : values.slice((i - own.length) * length, (i - own.length + 1) * length),
  )
  return { inputs, answers, signature }
}
