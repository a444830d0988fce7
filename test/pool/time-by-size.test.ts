/** How what the size of a payload tells of its time is learned, and what it changes. */

import { expect, it } from 'vitest'
import { simulate } from '../../bench/laws/sizes-run'
import { type Random, seeded } from '../../src/base/random'
import { type LastTime, Scaling } from '../../src/pool/time-by-size'

const sized = (size: number) => [{ size }]

/** After so many times of workers of which each is twice as slow as the one before. */
function learned(ms: (size: number, random: Random) => number, count = 500, workers = 4, seed = 1) {
  const [sizes, random] = [new Scaling(), seeded(seed)]
  const lasts: LastTime[] = Array.from({ length: workers }, () => ({ size: 0, ms: 0 }))
  for (let i = 0; i < count; i++) {
    const [worker, size] = [random.below(workers), 1 + random.below(50)]
    sizes.add(lasts[worker], sized(size), 2 ** worker * ms(size, random))
  }
  return sizes
}

/** The power that sizes grow with. */
const powerOf = (sizes: Scaling) => Math.log(sizes.factor(sized(100)) / sizes.factor(sized(10))) / Math.log(10)

const noise = (random: Random, deviation: number) => Math.exp(deviation * random.gauss())

it.each([
  ['proportional', 1, (size: number) => size],
  ['the square', 2, (size: number) => size * size],
  ['the root', 0.5, (size: number) => Math.sqrt(size)],
  ['the cube, which is none that is believed', 2, (size: number) => size ** 3],
])('times that grow with the size, %s, whoever answers', (_, power, law) => {
  expect(powerOf(learned((size, random) => law(size) * noise(random, 0.1)))).toBeCloseTo(power, 1)
})

it('a typical payload takes as long as before it was known that sizes tell', () => {
  const sizes = learned((size, random) => size * noise(random, 0.1), 5000)
  const typical = Math.exp(Array.from({ length: 50 }, (_, i) => Math.log(i + 1)).reduce((a, b) => a + b) / 50)
  expect(sizes.factor(sized(typical))).toBeGreaterThan(0.6) // it was taken of the first 16
  expect(sizes.factor(sized(typical))).toBeLessThan(1.6)
})

it('one in twenty ten times slower, and sizes that tell: still seen; sizes that tell nothing: nothing is', () => {
  const trouble = (random: Random) => noise(random, 0.1) * (random.next() < 0.05 ? 10 : 1)
  expect(powerOf(learned((size, random) => size * trouble(random)))).toBeCloseTo(1, 0)
  for (let seed = 0; seed < 50; seed++) expect(learned((_, random) => trouble(random), 200, 4, seed).factor(sized(50))).toBe(1) // biome-ignore format: one line
  expect(learned((size, random) => noise(random, 0.1) / size).factor(sized(50))).toBe(1) // larger is not quicker
})

it('of several in one run each counts as their mean', () => {
  const sizes = learned((size, random) => size * noise(random, 0.01))
  const one = (size: number) => sizes.factor(sized(size))
  expect(sizes.factor([{ size: 10 }, { size: 20 }])).toBeCloseTo((one(10) + one(20)) / 2)
  expect([1.9, 2.2, 1 / 1.9, 1 / 2.2].map((times) => sizes.areAlike({ size: 10 }, { size: 10 * times }))).toEqual([true, false, true, false]) // biome-ignore format: one line
  expect(new Scaling().areAlike({ size: 1 }, { size: 50 })).toBe(true)
})

it('sizes that are all the same are not even looked at', () => {
  const sizes = new Scaling()
  const last = { size: 0, ms: 0 }
  for (let i = 0; i < 100; i++) sizes.add(last, sized(7), 1 + i)
  expect([sizes.factor(sized(7)), sizes.factor(sized(70))]).toEqual([1, 1])
})

const figures = async (world: string, load: number, tells = true) => {
  const job = { world, load, tells, seed: 10, queries: 4000 }
  return [await simulate({ ...job, learns: true }), await simulate({ ...job, learns: false })]
}

it('a short query that is late is asked again before a long one has come', async () => {
  const [learns, without] = await figures('tight 5 %', 0.3)
  const ratios = learns.p99.map((ms, i) => ms / without.p99[i])
  expect(ratios[0]).toBeLessThan(0.6)
  expect(ratios[1]).toBeLessThan(0.85)
  expect(learns.machineMs).toBeLessThan(without.machineMs)
})

it('slow machines are told from long queries', async () => {
  const [learns, without] = await figures('half 3 times slower', 0.3)
  for (const [i, ms] of learns.p99.entries()) expect(ms / without.p99[i]).toBeLessThan(0.8)
})

it('short ones do not wait in one run for long ones', async () => {
  const [learns, without] = await figures('batches, deviation .1', 0.8)
  for (const [i, ms] of learns.p99.entries()) expect(ms / without.p99[i]).toBeLessThan(0.5)
})

it('where sizes tell nothing all is as if nobody had looked', async () => {
  const [learns, without] = await figures('tight 2 %', 0.6, false)
  expect(learns).toEqual(without)
})
