/** The verdict, of call times that are known: what is recommended, and what is not. */

import { expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { verdictText } from '../../src/cli/verdict'
import { loadCore } from '../../src/core/load'
import type { CallTimes } from '../../src/evaluate/forecast'
import { OwnAnswers } from '../../src/evaluate/model'
import type { Premise } from '../../src/evaluate/premise'
import { type VerdictOptions, verdictOf } from '../../src/evaluate/verdict'

const core = await loadCore()
const random = seeded(5)
const calls = Array.from({ length: 200 }, () => 5 + random.next())
const times: CallTimes = { calls, here: calls, overheadMs: 0.05, timerMs: 0.1, answers: new Map() }
/** At three times this load stragglers come together often enough that 1,200 queries do not tell a memory from hedges. */
const premise: Premise = { workers: 4, load: 0.1, stragglerRate: 0.05, lateMs: 55 }

/** Two classes, by a smooth function of four inputs; or by a hash of them, which no memory can tell. */
const modelOf = (isSmooth: boolean) => ({
  signature: { inputs: [{ name: 'x', shape: [4] }], outputs: [{ name: 'probabilities', shape: [2] }] },
  hints: [{ node: { op: 'Softmax' } }],
  async infer(rows: Float32Array, count: number) {
    const answers = new Float32Array(2 * count)
    for (let i = 0; i < count; i++) {
      const [a, b, c, d] = rows.subarray(4 * i, 4 * i + 4)
      const score = isSmooth ? a + b : Math.sin(1e5 * (a + 3 * b + 5 * c + 7 * d))
      answers[2 * i] = 1 / (1 + Math.exp(-4 * score))
      answers[2 * i + 1] = 1 - answers[2 * i]
    }
    return answers
  },
})

const rows = Array.from({ length: 1200 }, () => Float32Array.from({ length: 4 }, () => random.gauss()))

function verdict(isSmooth: boolean, inputs = rows, more: Partial<VerdictOptions> = {}) {
  const model = modelOf(isSmooth)
  const vectors = { model, inputs, own: new OwnAnswers(model, inputs), labels: undefined }
  const shared = { core, premise, times, seed: 1, tolerate: 0.01, queries: 1200, ms: 1e6, isLabelled: false }
  return verdictOf({ ...shared, vectors, alone: undefined, whyNotCoded: undefined, ...more })
}
type Given = Awaited<ReturnType<typeof verdict>>

const textOf = (given: Given, unread?: { flag: string; why: string }) =>
  verdictText(
    'model.onnx',
    { verdict: given, times, unread, use: { workers: 4, ...given.best.options } },
    { seconds: 18 },
  )

it('a memory that is right answers for the stragglers: faster than hedges, and it is recommended', async () => {
  const given = await verdict(true)
  expect(given.plain.p99).toBeGreaterThan(55)
  expect(given.hedged.p99).toBeLessThan(0.5 * given.plain.p99)
  expect([given.worth, given.best.name]).toEqual(['approxifer', 'memory'])
  expect(given.best.forecast.p99).toBeLessThan(0.9 * given.hedged.p99)
  expect(given.best.forecast.right.accuracy).toBeGreaterThan(0.99)
  expect(given.best.forecast.recovered?.ofAll).toBeGreaterThan(0.02)
  const text = textOf(given)
  expect(text).toMatch(/verdict: use a memory: p99 [\d.]+ ms instead of [\d.]+/)
  expect(text).toMatch(/next: createPredictor\(\{ model, workers: 4, scheme: \{ queries: 1 \} \}\)/)
  expect(text.split('\n').length).toBeLessThanOrEqual(16)
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80)
})

it('answers that nothing tells: hedges suffice, and no answer is lost', async () => {
  const given = await verdict(false)
  expect([given.worth, given.best.name]).toEqual(['hedges', 'hedges'])
  expect(given.best.forecast.right.accuracy).toBe(1)
  expect(textOf(given)).toMatch(/verdict: hedges suffice/)
})

it('nobody is late: do not use it', async () => {
  const given = await verdict(true, rows, { premise: { ...premise, stragglerRate: 0 } })
  expect(given.worth).toBe('nothing')
  expect(textOf(given)).toMatch(/verdict: do not use approxifer here: a plain queue is as good/)
})

it('twenty inputs, or outputs that cannot be read: times alone, and what to say', async () => {
  const given = await verdict(true, rows.slice(0, 20))
  expect(given.tried.map(({ name }) => name)).toEqual(['hedges'])
  expect(given.plain.queries).toBeGreaterThanOrEqual(1000)
  expect(textOf(given).replaceAll(/\s+/g, ' ')).toMatch(/20 inputs are too few to tell: 400 or more would/)
  const unread = { flag: '--right within:0.5', why: 'it is one value' }
  expect(textOf(given, unread).replaceAll(/\s+/g, ' ')).toMatch(/it is one value\. Say for example --right within:0\.5/)
})

it('says of a share whose interval is wider than 30 points that it is too few', async () => {
  const given = await verdict(true, rows.slice(0, 410))
  const { recovered } = given.tried[1].forecast
  const memory = {
    ...given.tried[1].forecast,
    recovered: recovered && { ...recovered, count: 9, ci95: [0.4, 0.9] as [number, number] },
  }
  const few = { ...given, tried: [given.tried[0], { ...given.tried[1], forecast: memory }] }
  expect(textOf(few).replaceAll(/\s+/g, ' ')).toMatch(/too few \(9\) to tell how many are right; more inputs would/)
})

it('the verdict turned with the noise of the machine: other seeds give the same verdict, or no difference found', async () => {
  const verdicts = [1, 2, 3].map((seed) => verdict(true, rows, { seed }))
  const found = (await Promise.all(verdicts)).map(({ worth, unclear }) => (unclear ? 'no difference found' : worth))
  expect(found.filter((each) => each !== 'no difference found' && each !== 'approxifer')).toEqual([])
})

it('a gain of a tenth that the queries do not tell: no difference found, and how many would tell', async () => {
  const given = await verdict(false)
  const unclear = {
    of: 'memory',
    beside: 'hedges',
    ratio: 0.8,
    ci95: [0.6, 1.1],
    queries: 1000,
    wouldTell: 9000,
  } as const
  const text = textOf({ ...given, worth: 'nothing', unclear: { ...unclear, ci95: [0.6, 1.1] } }).replaceAll(/\s+/g, ' ')
  expect(text).toMatch(
    /verdict: no difference found: p99 with a memory is 0\.60 to 1\.10 times that of hedges; about 9000 simulated queries would tell \(--seconds 162\)/,
  )
})
