/** How many rows share a run: as many as pay, which is measured. */

import { describe, expect, it } from 'vitest'
import { MEDIAN_MS, randomTrouble, type ServiceTime, SimulatedWorker } from '../../bench/shared/simulated'
import { seeded } from '../../src/base/random'
import { Batching } from '../../src/pool/batching'
import { createPredictor } from '../../src/predictor/create'
import type { PredictorOptions } from '../../src/predictor/options'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { signature } from '../shared/batch-worker'
import { query } from '../shared/hand-predictor'

/** Simulated workers: LeNet's runs of 2, 4, 8, 16 rows, and ResNet-8's, beside one row's. */
const lenet = { most: 16, factor: (count: number) => 0.45 + 0.55 * count }
const resnet = { most: 16, factor: (count: number) => count }
const single = { most: 1, factor: () => 1 }

async function served(count: number, batches: typeof lenet, law: ServiceTime, options: Partial<PredictorOptions> = {}) {
  const clock = new VirtualClock()
  const workers = Array.from({ length: count }, (_, i) => {
    return new SimulatedWorker(i, { clock, serviceMs: law, answer: (row) => row.slice(), signature, batches })
  })
  const rest = { limits: { queries: 1e6 }, deadlineMs: 1e6, memory: false } as const
  const predictor = await createPredictor({ workers, testing: { clock }, ...rest, ...options })
  return { clock, workers, predictor }
}

/** Milliseconds until so many queries that are asked at once are answered. */
async function drain(batches: typeof lenet): Promise<number> {
  const { clock, predictor } = await served(2, batches, randomTrouble(seeded(2)))
  const all = Promise.all(Array.from({ length: 2000 }, (_, i) => predictor.predict(query(i))))
  await clock.run()
  await all
  let last = 0
  for (const { queuedMs, ranMs } of await all) last = Math.max(last, queuedMs + ranMs)
  await predictor.close()
  return last
}

/** The 99th percentile of queries that come by themselves, at a load of .6 of what goes without batches. */
async function p99(
  batches: typeof lenet,
  count: number,
  scheme: PredictorOptions['scheme'],
  seed: number,
): Promise<number> {
  const { clock, predictor } = await served(count, batches, randomTrouble(seeded(seed)), scheme ? { scheme } : {})
  const random = seeded(seed + 1)
  const times: number[] = []
  let at = 0
  for (let i = 0; i < 5000; i++) {
    at -= (Math.log(1 - random.next()) * 1.18 * MEDIAN_MS) / (0.6 * count)
    clock.after(at, async () => {
      const since = clock.now()
      await predictor.predict(query(i))
      times.push(clock.now() - since)
    })
  }
  await clock.run()
  await predictor.close()
  return times.sort((a, b) => a - b)[4950]
}

describe('how many rows', () => {
  it('a model that gains gets batches and is faster, one that does not is as fast as without', async () => {
    const alone = await drain(single)
    expect(alone / (await drain(lenet))).toBeGreaterThan(1.3)
    expect(alone / (await drain(resnet))).toBeGreaterThan(0.97)
  })

  it.each([
    ['two workers', 2, undefined],
    ['nine workers, K = 8', 9, { queries: 8, stragglers: 1 }],
  ] as const)('%s: at load .6 nobody waits longer, whatever the model gains', async (_, count, scheme) => {
    const ratios = { lenet: [] as number[], resnet: [] as number[] }
    for (const seed of [10, 20, 30, 40, 50, 60, 70]) {
      const alone = await p99(single, count, scheme, seed)
      ratios.lenet.push((await p99(lenet, count, scheme, seed)) / alone)
      ratios.resnet.push((await p99(resnet, count, scheme, seed)) / alone)
    }
    const mean = (values: number[]) => Math.exp(values.reduce((sum, each) => sum + Math.log(each), 0) / values.length)
    expect(mean(ratios.lenet)).toBeLessThan(1.05)
    expect(mean(ratios.resnet)).toBeLessThan(1.05)
  })

  it('a larger size is used on if it brings a tenth more rows, and given up when it no longer does', () => {
    const batches = new Batching(16)
    const work = (times: (rows: number) => number, runs: number) => {
      const sizes = Array.from({ length: runs }, () => {
        const size = batches.next(16)
        batches.add(size, times(size))
        return size
      })
      return sizes.slice(-100).sort((a, b) => a - b)[50]
    }
    expect(work((count) => 10 * lenet.factor(count), 300)).toBeGreaterThanOrEqual(4)
    expect(Math.abs(batches.factor(4) - lenet.factor(4))).toBeLessThan(0.01)
    expect(work((count) => 10 * count, 8000)).toBe(1)
    expect(work((count) => 10 + 0.1 * count, 8000)).toBe(16)
    expect(work((count) => 10 * count, 8000)).toBe(1) // from the largest that may go, too
  })

  it('never more than may go', () => {
    const batches = new Batching(16)
    for (let i = 0; i < 500; i++) {
      const size = batches.next(16)
      batches.add(size, 10)
    }
    for (const most of [1, 2, 4, 8]) expect(batches.next(most)).toBeLessThanOrEqual(most)
  })

  it('a worker at work on batches is not taken for a slow one, nor are its rows for late ones', async () => {
    const hedged: number[] = []
    for (const batches of [single, lenet]) {
      const random = seeded(5)
      const { clock, predictor, workers } = await served(2, batches, () => MEDIAN_MS * Math.exp(0.1 * random.gauss()))
      const ask = (x: number, at: number) => clock.after(at, () => void predictor.predict(query(x)))
      for (let burst = 0; burst < 30; burst++) {
        for (let i = 0; i < 40; i++) ask(i, 2000 * burst)
        for (let i = 0; i < 20; i++) ask(i, 2000 * burst + 1000 + 20 * i)
      }
      await clock.run()
      const { hedges, workers: stats, lateMs } = predictor.stats()
      hedged.push(hedges.sent)
      for (const { expectedMs } of stats) expect(Math.abs((expectedMs as number) - MEDIAN_MS)).toBeLessThan(2)
      expect(lateMs).toBeLessThan(1.5 * MEDIAN_MS)
      for (const { calls } of workers) expect(calls).toBeGreaterThan(0.4 * 30 * 60)
      await predictor.close()
    }
    expect(Math.max(...hedged)).toBeLessThan(0.03 * 30 * 60) // of all rows
  })
})
