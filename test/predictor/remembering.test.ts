/** Answers before asking: who is asked, what counts as wrong, and that nothing ends an audit but an answer. */

import { beforeAll, describe, expect, it } from 'vitest'
import { ApproxiferError } from '../../src/base/errors'
import { seeded } from '../../src/base/random'
import { createPredictor } from '../../src/predictor/create'
import type { PredictorOptions } from '../../src/predictor/options'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker, turn } from '../shared/hand-predictor'

/** Two classes, far apart; the model says which of two numbers is larger. */
const random = seeded(7)
const drawn = () => Float32Array.of(...(random.next() < 0.5 ? [3, 1] : [1, 3]).map((x) => x + 0.3 * random.gauss()))

/** Answers whatever it is asked until it is told to wait. */
class QuickWorker extends HandWorker {
  isQuick = true
  asked = 0
  override infer(...args: Parameters<HandWorker['infer']>) {
    this.asked++
    const answer = super.infer(...args)
    if (this.isQuick) queueMicrotask(() => this.calls[0]?.answer())
    return answer
  }
}

let state: Uint8Array

/** Asks until it is so, and lets everything else have its turn. */
async function askUntil(isSo: () => boolean, ask: () => Promise<unknown>) {
  for (let n = 0; !isSo(); n++) {
    if (n > 3000) throw new Error('it never is')
    await ask()
    await turn()
  }
}

beforeAll(async () => {
  const predictor = await createPredictor({
    workers: [new QuickWorker('w0'), new QuickWorker('w1')],
    ...{ policy: 'auto', verify: { audit: 0 }, right: 'label', onWarning() {} },
  })
  await askUntil(() => predictor.stats().memoryPairs >= 128, () => predictor.predict(drawn())) // biome-ignore format: one line
  state = await predictor.save()
  await predictor.close()
})

/** A predictor that gives what it is confident of; its coin falls as told: 0 is heads, 1 tails. */
async function house(options: Partial<PredictorOptions> = {}, count = 3) {
  const clock = new VirtualClock()
  const workers = Array.from({ length: count }, (_, i) => new QuickWorker(`w${i}`))
  const coin = { value: 1 }
  const predictor = await createPredictor({
    ...{ workers, reuse: { maxError: 0.05 }, hedge: false, verify: { audit: 0 }, right: 'label' },
    ...{ memory: { state }, onWarning() {}, testing: { clock, coin: () => coin.value } },
    ...options,
  })
  await askUntil(() => predictor.stats().budget?.threshold !== undefined, () => predictor.predict(drawn())) // biome-ignore format: one line
  for (const worker of workers) {
    worker.isQuick = false
    worker.asked = 0
  }
  const asked = () => workers.reduce((sum, { asked }) => sum + asked, 0)
  const busy = () => workers.find(({ calls }) => calls.length) as QuickWorker
  const budget = () => predictor.stats().budget
  /** The worker that was asked says that the memory is wrong, and so does a second one. */
  const deny = async () => {
    for (let i = 0; i < 2; i++) {
      const [call] = busy().calls
      call.answer(wrong(call.row))
      await turn()
    }
  }
  return { clock, coin, predictor, workers, asked, busy, budget, deny }
}

const wrong = ([a, b]: Float32Array) => Float32Array.of(b, a)

describe('a query that the memory is confident of', () => {
  it('is answered unasked where the coin says tails, and is the caller’s own', async () => {
    const { predictor, asked } = await house()
    const before = predictor.stats().remembered
    const query = drawn()
    const { status, confidence, output, workers } = await predictor.predict(query)
    expect([status, workers, asked()]).toEqual(['remembered', [], 0])
    expect(confidence).toBeGreaterThan(0.9)
    expect(output.y.data[0] > output.y.data[1]).toBe(query[0] > query[1])
    output.y.data.fill(9)
    const again = await predictor.predict(query)
    expect([again.status, again.output.y.data[0] === 9, again.reused]).toEqual(['remembered', false, undefined])
    const { remembered, budget } = predictor.stats()
    expect([remembered - before, budget]).toMatchObject([2, { remembered: remembered, audits: 0, detectedErrors: 0 }])
    const { saving } = predictor.stats()
    expect(saving).toMatchObject({ off: false, saved: remembered, lookups: expect.any(Number) })
    expect(saving?.lookups).toBeGreaterThanOrEqual(remembered)
    await predictor.close()
  })

  it('is asked where it says heads, and its caller has the model’s answer', async () => {
    const { predictor, coin, busy, budget, deny } = await house()
    coin.value = 0
    const query = drawn()
    const answer = predictor.predict(query)
    busy().calls[0].answer()
    expect(await answer).toMatchObject({ status: 'exact', confidence: 1 })
    expect(budget()).toMatchObject({ audits: 1, detectedErrors: 0 })
    const other = predictor.predict(drawn())
    await deny()
    expect((await other).status).toBe('exact')
    expect(budget()).toMatchObject({ audits: 2, detectedErrors: 1 })
    await predictor.close()
  })

  it('is asked where its caller says so, or wants nothing but exact answers, or more confidence', async () => {
    const { predictor, asked, workers } = await house()
    for (const worker of workers) worker.isQuick = true
    for (const options of [{ ask: true }, { policy: 'retry' as const }, { minConfidence: 1 }])
      expect((await predictor.predict(drawn(), options)).status).toBe('exact')
    expect(asked()).toBe(3)
    expect(predictor.stats().budget).toMatchObject({ audits: 0 })
    await expect(predictor.predict(drawn(), { ask: 1 as never })).rejects.toThrow(/ask: expected true or false, got 1/)
    await predictor.close()
  })
})

describe('an audit', () => {
  /** One under way. */
  async function audit(options = {}, own = {}) {
    const at = await house(options)
    at.coin.value = 0
    const outcome = at.predictor.predict(drawn(), own).then(
      ({ status }) => status,
      (error: ApproxiferError) => error.code,
    )
    await turn()
    return { ...at, outcome }
  }

  it('goes on when its caller leaves: else nothing would ever be caught', async () => {
    const left = new AbortController()
    const { predictor, outcome, busy, budget, deny } = await audit({}, { signal: left.signal })
    left.abort()
    expect(await outcome).toBe('ABORTED')
    expect(busy().calls[0].signal?.aborted ?? false).toBe(false)
    await deny()
    expect(budget()).toMatchObject({ audits: 1, detectedErrors: 1 })
    await predictor.close()
  })

  it('goes on when its deadline has passed', async () => {
    const { predictor, clock, outcome, budget, deny } = await audit({}, { deadlineMs: 50 })
    await clock.run(clock.now() + 60)
    expect(await outcome).toBe('DEADLINE')
    expect(budget()).toMatchObject({ audits: 1, detectedErrors: 0 })
    await deny()
    expect(budget()).toMatchObject({ detectedErrors: 1 })
    await predictor.close()
  })

  it('is asked again where its worker dies', async () => {
    const { predictor, outcome, busy, budget, asked } = await audit()
    busy().calls[0].fail(new ApproxiferError('WORKER', 'died'))
    await turn()
    expect(asked()).toBe(2)
    busy().calls[0].answer()
    expect(await outcome).toBe('exact')
    expect(budget()).toMatchObject({ audits: 1, detectedErrors: 0 })
    await predictor.close()
  })

  it('without an answer counts as wrong', async () => {
    const { predictor, clock, outcome, budget } = await audit({ hangMs: 1e7 }, { deadlineMs: 50 })
    await clock.run(clock.now() + 61_000)
    expect(await outcome).toBe('DEADLINE')
    expect(budget()).toMatchObject({ audits: 1, detectedErrors: 1 })
    await predictor.close()
  })

  it('under way leaves little to be given: it comes too late for what is', async () => {
    const { predictor, coin, asked, workers } = await audit()
    coin.value = 1
    let given = 0
    for (let i = 0; i < 100; i++) {
      const before = asked()
      const answer = predictor.predict(drawn())
      await turn()
      if (asked() === before) given++
      else for (const worker of workers) if (asked() > before) worker.isQuick = true
      answer.catch(() => {})
    }
    expect(given).toBeLessThanOrEqual(5) // a quarter of the first budget
    await predictor.close()
  })
})

it('equal queries at once have a coin each, and those that are asked are asked together', async () => {
  const { predictor, coin, asked, busy, budget } = await house()
  const query = drawn()
  const { remembered = 0 } = budget() ?? {}
  let tossed = 0
  const heads = [1, 1, 0, 1, 0]
  Object.defineProperty(coin, 'value', { get: () => heads[tossed++] })
  const answers = heads.map(() => predictor.predict(query))
  await turn()
  expect([tossed, asked()]).toEqual([5, 1])
  busy().calls[0].answer()
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(['remembered', 'remembered', 'exact', 'remembered', 'exact']) // biome-ignore format: one line
  expect(budget()).toMatchObject({ remembered: remembered + 3, audits: 2, detectedErrors: 0 })
  await predictor.close()
})

it('tenants have a budget each: one’s detected errors end nothing for another', async () => {
  const { predictor, coin, workers, busy } = await house({ limits: { tenants: 3 }, memory: { state: { '': state, b: state } } }) // biome-ignore format: one line
  for (const worker of workers) worker.isQuick = true
  await askUntil(() => predictor.stats('b').budget?.threshold !== undefined, () => predictor.predict(drawn(), { tenant: 'b' })) // biome-ignore format: one line
  for (const worker of workers) worker.isQuick = false
  coin.value = 0
  await askUntil(
    () => predictor.stats().budget?.threshold === undefined,
    async () => {
      const query = drawn()
      const answer = predictor.predict(query)
      for (let i = 0; i < 4; i++) {
        await turn()
        // A catch has one of the kept queries asked again.
        for (const { row, answer } of workers.flatMap(({ calls }) => calls))
          answer(row[0] === query[0] ? wrong(row) : undefined)
      }
      await answer
    },
  )
  coin.value = 1
  expect((await predictor.predict(drawn(), { tenant: 'b' })).status).toBe('remembered')
  const own = predictor.predict(drawn())
  busy().calls[0].answer()
  expect((await own).status).toBe('exact')
  await predictor.close()
})

it('an audit is right by a proven answer only, where workers may lie', async () => {
  const { predictor, coin, workers, budget } = await house({ scheme: { queries: 1, byzantine: 1 } }, 5)
  coin.value = 0
  const answer = predictor.predict(drawn())
  await turn()
  const asked = workers.filter(({ calls }) => calls.length)
  expect(asked.length).toBeGreaterThan(1)
  for (const { calls } of asked) calls[0].answer()
  expect((await answer).status).toBe('exact')
  expect(budget()).toMatchObject({ audits: 1, detectedErrors: 0 })
  await predictor.close()
})

it('where it stands is saved with what was learned, audits under way as caught', async () => {
  const { predictor, coin, budget } = await house()
  coin.value = 0
  predictor.predict(drawn()).catch(() => {})
  await turn()
  const { answers } = budget() as { answers: number }
  const saved = await predictor.save()
  await predictor.close()
  const other = await createPredictor({
    ...{
      workers: [new QuickWorker('w0')],
      reuse: { maxError: 0.05 },
      right: 'label',
      memory: { state: saved },
    },
    onWarning() {},
  })
  expect(other.stats().budget).toMatchObject({ window: 1, answers, detectedErrors: 1 })
  await other.close()
})

it('is refused where a promise could not be kept', async () => {
  const make = (options: object) => createPredictor({ workers: [new QuickWorker('w')], onWarning() {}, ...options })
  for (const maxError of [0, -1, 0.7, '1', Number.NaN])
    await expect(make({ reuse: { maxError } })).rejects.toThrow(/reuse.maxError: expected a number from 0.0001 to 0.5, got/) // biome-ignore format: one line
  await expect(make({ reuse: { maxError: 0.01 }, memory: false })).rejects.toThrow(/memory: expected one/)
  const scheme = { queries: 2, preset: 'aaai22' }
  await expect(make({ reuse: { maxError: 0.01 }, scheme })).rejects.toThrow(/reuse.maxError: expected none with the paper/) // biome-ignore format: one line
  const odd = Object.assign(new QuickWorker('w'), { repeats: false })
  await expect(make({ workers: [odd], reuse: { maxError: 0.01 } })).rejects.toThrow(/reuse.maxError: .*in two ways/)
})

/** Queries through workers of a fifth of a millisecond, for which nothing is looked up: so many that differ, and then how many of 100 equal ones are asked. */
async function asked(exact: boolean, differing: number): Promise<number> {
  const clock = new VirtualClock()
  let calls = 0
  const worker = (name: string) => {
    const own = new HandWorker(name)
    const infer = own.infer.bind(own)
    own.infer = (...args) => {
      calls++
      clock.after(0.2, () => own.calls[0]?.answer())
      return infer(...args)
    }
    return own
  }
  const workers = [worker('w0'), worker('w1')]
  const reuse = { exact, maxError: 0.05 }
  const predictor = await createPredictor({
    ...{ workers, reuse, right: 'label', hedge: false, onWarning() {}, testing: { clock } },
  })
  const ask = (x: number) => {
    const asking = predictor.predict(Float32Array.of(x, 1), { ask: true })
    return clock.run(clock.now() + 1).then(() => asking)
  }
  for (let i = 0; i < differing; i++) await ask(1 + i / 1000)
  calls = 0
  for (let i = 0; i < 100; i++) await ask(0.5)
  await predictor.close()
  return calls
}

it('answers to equal queries are kept only where they are frequent enough to pay, or where that is asked for', async () => {
  expect(await asked(false, 600)).toBe(100)
  expect(await asked(true, 600)).toBeLessThan(50) // a fifth: audits
  expect(await asked(false, 400)).toBeLessThan(50) // too few to judge
})
