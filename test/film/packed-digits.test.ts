/** Digits as the film's page fetches them. */

import { expect, it } from 'vitest'
import { packDigits, SIDE, unpackDigits } from '../../site/film/packed-digits'
import { seeded } from '../../src/base/random'
import { loadDigits } from '../../src/cli/demo/digits'

const signature = {
  inputs: [{ name: 'input', shape: [1, SIDE, SIDE] }],
  outputs: [{ name: 'logits', shape: [10] }],
}

it('digits come back in 16 grey levels, and answers in steps of 1/32', async () => {
  const digits = await loadDigits()
  const { images, answers } = unpackDigits(packDigits(digits))
  const off = (a: Float32Array, b: Float32Array) => Math.max(...a.map((value, i) => Math.abs(value - b[i])))
  expect(Math.max(...images.map((image, i) => off(image, digits.images[i])))).toBeLessThan(0.5 / 15 + 1e-6)
  expect(Math.max(...answers.map((answer, i) => off(answer, digits.answers[i])))).toBeLessThanOrEqual(1 / 64)
})

it('any picture comes back', () => {
  const { next } = seeded(1)
  const pictures = [() => 0, () => 1, () => Math.round(15 * next()) / 15, () => Number(next() < 0.01)]
  const images = pictures.map((pixel) => Float32Array.from({ length: SIDE ** 2 }, pixel))
  const answers = images.map((_, i) => Float32Array.from({ length: 10 }, (_, j) => i - j))
  const back = unpackDigits(packDigits({ images, answers, signature }))
  expect(back.images).toEqual(images)
  expect(back.answers).toEqual(answers)
})
