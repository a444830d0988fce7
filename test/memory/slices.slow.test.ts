/** How much of learning is done in one go: counted in operations of the core, so that no clock is needed. */

import { expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { median } from '../../src/base/stats'
import type { Core } from '../../src/core/core'
import { loadCore } from '../../src/core/load'
import { Calibration } from '../../src/memory/calibration'
import { Memory } from '../../src/memory/memory'
import { finished } from '../../src/memory/steps'
import { squaredLengthScale } from '../../src/memory/study'

const core = await loadCore()
const random = seeded(1)
const numbers = (length: number) => Float32Array.from({ length }, () => random.gauss())
const answerTo = (query: Float32Array) => Float32Array.of(query[0], -query[0], query[1])

/** With the multiplications that metrics and inverses take in the core, and how many of these were done in one step at most. */
function counted() {
  const work = { now: 0, most: 0, all: 0 }
  const add = (products: number) => {
    work.now += products
    work.all += products
  }
  const counting: Core = {
    kind: core.kind,
    table: (...given) => core.table(...given),
    halvesTable: (...given) => core.halvesTable(...given),
    kernelMatrix: (outputs) => core.kernelMatrix(outputs),
    filterBank: (options) => core.filterBank(options),
    gram: (rows) => core.gram(rows),
    vote: (...given) => core.vote(...given),
    residual: (...given) => core.residual(...given),
    combine(weights, rows, out) {
      add(weights.length * rows[0].length)
      return core.combine(weights, rows, out)
    },
    inverse(matrix) {
      if (matrix.length > 100) add(matrix.length ** 1.5)
      return core.inverse(matrix)
    },
  }
  const endStep = () => {
    work.most = Math.max(work.most, work.now)
    work.now = 0
  }
  return { counting, work, endStep }
}

function taught(count: number, own: Core = core, from: (i: number) => string = () => 'a') {
  const memory = new Memory(own, { shape: [54], outputs: 3 })
  for (let i = 0; i < count; i++) {
    const query = numbers(54)
    memory.remember(query, answerTo(query), from(i))
  }
  return memory
}

it('deciding how 54 columns are compared is done in steps of two million multiplications at most, of hundreds of millions', () => {
  const { counting, work, endStep } = counted()
  const memory = new Memory(counting, { shape: [54], outputs: 3 })
  for (let i = 0; i < 128; i++) {
    const query = numbers(54)
    memory.place(query, answerTo(query))
    endStep()
  }
  while (memory.work()) endStep()
  expect(memory.ready).toBe(true)
  expect(work.all).toBeGreaterThan(5e7)
  expect(work.most).toBeLessThanOrEqual(2 ** 21)
})

it('forgetting 30 of 500 answers decides nothing anew: it held the loop for seconds', () => {
  const { counting, work } = counted()
  const memory = taught(500, counting, (i) => (i % 17 === 5 ? 'liar' : 'a'))
  const before = work.all
  const { size } = memory
  const { gone } = memory.forget('liar')
  expect([gone >= 25, gone <= 31]).toEqual([true, true])
  let steps = 0
  while (memory.work()) steps++
  expect(memory.size).toBe(size - gone)
  expect(work.all - before).toBe(0) // a study would be thousands of millions
  expect(steps).toBeGreaterThan(50)
  const query = numbers(54)
  expect(memory.recover(query)?.answer[0]).toBeCloseTo(query[0], 0)
})

it('where a worker gave more than one answer in sixteen how they are compared is decided again, while the memory answers', () => {
  const { counting, work } = counted()
  const memory = taught(300, counting, (i) => (i % 9 ? 'a' : 'liar'))
  const before = work.all
  memory.forget('liar')
  expect(memory.recover(numbers(54))).toBeUndefined()
  while (!memory.ready) memory.work()
  expect(memory.recover(numbers(54))).toBeDefined()
  expect(work.all).toBe(before)
  while (memory.work()) {}
  expect(work.all - before).toBeGreaterThan(1e7)
})

it('who is forgotten while others are being forgotten is gone as well, and nothing that was under way is done first', () => {
  const memory = taught(400, core, (i) => ['a', 'b', 'c', 'a', 'a'][i % 5])
  const { size } = memory
  const first = memory.forget('b')
  expect(first.gone).toBeGreaterThan(70)
  for (let i = 0; i < 5; i++) memory.work()
  const { gone, left } = memory.forget('c')
  expect([gone > 70, left.length]).toEqual([true, size - first.gone - gone])
  expect(memory.forget('nobody').gone).toBe(0)
  while (memory.work()) {}
  expect(memory.size).toBe(left.length)
  expect(memory.recover(numbers(54))).toBeDefined()
})

it('a worker that is forgotten while the memory begins leaves nothing behind', () => {
  const memory = new Memory(core, { shape: [54], outputs: 3 })
  for (let i = 0; i < 128; i++) {
    const query = numbers(54)
    memory.place(query, answerTo(query), i % 2 ? 'a' : 'liar')
  }
  for (let i = 0; i < 20; i++) expect(memory.work()).toBe(true)
  expect(memory.forget('liar').gone).toBe(64)
  expect([memory.size, memory.work()]).toEqual([64, false])
})

it('a lookup between two steps of a lesson says what it said before, also where a block is being inverted', () => {
  const memory = taught(159)
  const query = numbers(54)
  const said = memory.recover(query)
  const last = numbers(54)
  let looks = 0
  memory.place(last, answerTo(last))
  expect(said).toBeDefined()
  for (; memory.work(); looks++) expect(memory.recover(query)).toBeDefined()
  expect(looks).toBeGreaterThan(0)
  const again = new Memory(core, { shape: [54], outputs: 3 }, memory.save())
  expect(again.recover(query)?.answer[0]).toBeCloseTo(memory.recover(query)?.answer[0] as number, 3)
})

it('the length scale is the median of the distances between 128 rows', () => {
  for (const count of [1, 2, 3, 50, 300]) {
    const rows = Array.from({ length: count }, () => numbers(count).map(Math.abs))
    const step = Math.ceil(count / 128)
    const expected = median(rows.flatMap((row, i) => (i % step ? [] : [...row.subarray(0, i)]))) || 1
    expect(squaredLengthScale(rows)).toBe(expected)
  }
})

it('a fit in steps is the fit at once, and counts what was learned between them', () => {
  const graded = (i: number) => ({ signals: [Math.sin(i), i % 5], right: Math.sin(i) > 0.3, label: i % 3 })
  const [own, other] = [new Calibration(core), new Calibration(core, [], undefined, 2)]
  for (let i = 0; i < 40; i++) for (const each of [own, other]) each.learn(graded(i))
  const steps = other.renew()
  steps.next()
  other.learn(graded(40))
  finished(steps)
  own.learn(graded(40))
  expect(other.probability([0.5, 1], 1)).toBeCloseTo(own.probability([0.5, 1], 1) as number, 1)
  expect(finished(other.renew())).toBeUndefined() // nothing is due
})
