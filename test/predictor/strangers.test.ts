/** A fleet that anybody may join. */

import { createPredictor, type PredictorOptions } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { type Figures, type Job, simulate } from '../../bench/sybils-run'
import { seeded } from '../../src/random'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { Feed } from '../shared/feed'
import { HandWorker, turn } from '../shared/house'
import { add, code, message } from '../shared/joined'

const random = seeded(5)
const answers = Array.from({ length: 300 }, () => Float32Array.from({ length: 10 }, () => random.gauss()))
const usual = {
  ...{ answers, honest: 8, queries: 4000, seed: 1, sybils: 3, rejoin: false, honestFor: 0, lying: 1 },
  ...{ seen: 'lie', options: { verify: { trust: 'open' } } },
} satisfies Job
const run = (job: Partial<Job>): Promise<Figures> => simulate({ ...usual, ...job })
/** Few right answers make a worker believed. */
const soon: PredictorOptions = { verify: { trust: 'open', integrity: 0.98 } }

describe('three colluding tabs of twelve that rejoin each second under new names', () => {
  const tabs = { rejoin: true, sybils: 3 }

  it('have wrong answers proven where one may lie, since there are three', async () => {
    const options = { scheme: { queries: 1, byzantine: 1 }, verify: { integrity: 1 }, memory: false as const }
    const { wrong, statuses, honestConvicted } = await run({ ...tabs, options })
    expect(Object.keys(statuses)).toEqual(['exact'])
    expect(wrong).toBeGreaterThan(20)
    expect(honestConvicted).toBeGreaterThan(0)
  })

  it('have none given in an open fleet, and nobody honest convicted', async () => {
    expect(await run({ ...tabs, options: soon })).toMatchObject({
      ...{ given: 4000, wrong: 0, failed: 0, honestConvicted: 0 },
    })
  })
})

describe('colluding strangers', () => {
  it('that are honest until they are believed have no more wrong answers given than is said, whatever their number', async () => {
    for (const sybils of [1, 5, 20]) {
      const total = { given: 0, wrong: 0, caught: 0 }
      for (const seed of [1, 2, 3]) {
        const options = { ...soon, verify: { ...soon.verify, integrity: 0.95 } }
        const ended = await run({ sybils, seed, queries: 10_000, honestFor: 100, options, seen: 'honest' })
        expect([ended.honestConvicted, ended.failed]).toEqual([0, 0])
        total.given += ended.given
        total.wrong += ended.wrong
        total.caught += ended.convicted
      }
      expect(total.wrong).toBeLessThanOrEqual(0.05 * total.given)
      expect(total.caught).toBeGreaterThan(0)
    }
  })

  it('never have one query between two of them, so that none knows that it is no quiz', async () => {
    expect(await run({ sybils: 9, options: soon, lying: 0 })).toMatchObject({ shared: 0, wrong: 0, failed: 0 })
  })

  it('that stay silent do not keep others from their quizzes', async () => {
    const [alone, beside] = [await run({ sybils: 0, options: soon }), await run({ sybils: 20, options: soon, honestFor: 20, seen: 'silent' })] // biome-ignore format: one line
    expect(beside.goodput).toBeGreaterThan(0.8 * alone.goodput)
  })
})

describe('honest strangers', () => {
  it('come to answer nearly all, for few inferences more, and nobody is convicted', async () => {
    const { own, later, given, honestConvicted } = await run({ sybils: 0, queries: 20_000, options: soon })
    expect([given, honestConvicted]).toEqual([20_000, 0])
    expect(own / given).toBeLessThan(0.25)
    expect(later).toBeLessThan(1.1)
  })
})

describe('an open fleet', () => {
  /** A predictor that these workers have joined; those of the name `own` are trusted. */
  async function open(...names: string[]) {
    const [feed, clock, warnings] = [new Feed(), new VirtualClock(), [] as string[]]
    const workers = names.map((name) => Object.assign(new HandWorker(name), { trusted: name.startsWith('own') }))
    feed.tell(...workers.map(add))
    const onWarning = (text: string) => warnings.push(text)
    const predictor = await createPredictor({ workers: feed, testing: { clock }, verify: { trust: 'open' }, onWarning })
    await turn()
    return { feed, clock, warnings, workers, predictor }
  }

  it('without a trusted worker says so, and answers nothing', async () => {
    const { predictor, warnings } = await open('a', 'b', 'c')
    expect(warnings).toEqual([expect.stringContaining('no worker is `trusted`')])
    const given = predictor.predict(Float32Array.of(1, 2))
    expect(await message(given)).toContain('no worker may take a query')
    expect(await code(given)).toBe('WORKER')
    await predictor.close()
  })

  it('answers as soon as a trusted worker joins, and asks nobody else', async () => {
    const { predictor, workers, feed } = await open('a')
    const own = Object.assign(new HandWorker('own'), { trusted: true })
    feed.tell(add(own))
    await turn()
    const given = predictor.predict(Float32Array.of(1, 2))
    await turn()
    expect([own.calls.length, workers[0].calls.length]).toEqual([1, 0])
    own.calls[0].answer()
    expect(await given).toMatchObject({ status: 'exact', confidence: 1, workers: ['own'] })
    await predictor.close()
  })

  it('says when its last trusted worker has left', async () => {
    const { predictor, feed, warnings } = await open('own', 'a')
    expect(warnings).toEqual([])
    feed.tell({ remove: 'own' })
    await turn()
    expect(warnings).toEqual([expect.stringContaining('no worker is `trusted`')])
    await predictor.close()
  })

  it('takes no options that rest on how many lie, or keep what was answered', async () => {
    const workers = [new HandWorker('a')]
    const wrong = async (options: PredictorOptions) =>
      createPredictor({ workers, verify: { trust: 'open' }, ...options })
    await expect(wrong({ scheme: { queries: 1, byzantine: 1 } })).rejects.toThrow("scheme.byzantine: expected 0 with verify.trust 'open', got 1") // biome-ignore format: one line
    await expect(wrong({ scheme: { queries: 2, stragglers: 1 } })).rejects.toThrow('scheme: expected none')
    await expect(wrong({ rollout: {} })).rejects.toThrow('rollout: expected none')
    await expect(wrong({ policy: 'auto' })).rejects.toThrow("policy: expected 'retry'")
    await expect(wrong({ memory: {} })).rejects.toThrow('memory.bytes: expected 0')
    await expect(wrong({ reuse: { exact: true } })).rejects.toThrow('reuse: expected none')
    await expect(wrong({ verify: { trust: 'ajar' as 'open' } })).rejects.toThrow('verify.trust')
  })
})
