import { ApproxiferError, createPredictor, type PredictOptions } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { HandWorker, turn } from '../shared/hand-predictor'

/** Time that passes with every look at it, and events that the test lets happen. */
class StepClock {
  events: { at: number; f: () => void }[] = []
  #now = 0
  #perLook = 0.01

  now() {
    this.#now += this.#perLook
    return this.#now
  }

  after(ms: number, f: () => void) {
    const event = { at: this.#now + ms, f }
    this.events.push(event)
    return () => void (this.events = this.events.filter((each) => each !== event))
  }

  slow(ms: number) {
    this.#perLook = ms
  }

  /** All that is due within so many milliseconds. */
  async run(ms: number) {
    const until = this.#now + ms
    for (;;) {
      const next = this.events.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0]
      if (!next) break
      this.events.splice(this.events.indexOf(next), 1)
      this.#now = Math.max(this.#now, next.at)
      next.f()
      await turn()
    }
    this.#now = Math.max(this.#now, until)
  }
}

/** A predictor that has learned that nothing can be learned: the answers are noise. */
async function untaught(clock: StepClock, scheme: { queries: number; stragglers: number }) {
  const workers = ['a', 'b', 'c', 'd'].map((name) => new HandWorker(name))
  const options = {
    workers,
    hedge: false,
    memory: { features: 'raw' },
    testing: { clock },
    deadlineMs: 1e6,
    maxWaitMs: 1e5,
  } as const
  const predictor = await createPredictor({ right: 'label', ...options, scheme: { ...scheme } })
  const random = seeded(1)
  const noise = () => Float32Array.of(random.gauss(), random.gauss())
  const ask = (options: PredictOptions = {}, query = noise()) => predictor.predict(query, options)
  const calls = () => workers.flatMap((worker) => worker.calls)
  for (let i = 0; i < 300; i++) {
    for (let query = 0; query < scheme.queries; query++) void ask()
    await clock.run(3)
    for (const { answer } of calls()) answer(noise())
    await turn()
    await clock.run(200)
  }
  expect(predictor.stats().memoryPairs).toBeGreaterThan(100)
  return { ask, calls }
}

describe('a lost query that is being looked up is asked again, rather than forgotten until its deadline', () => {
  it('when its group is decoded meanwhile, and it is late', async () => {
    const clock = new StepClock()
    clock.slow(0.5) // so that the memory is not asked which of the two to copy: a parity is made
    const { ask, calls } = await untaught(clock, { queries: 2, stragglers: 1 })
    clock.slow(0.01)
    const lost = ask({}, Float32Array.of(1, 1))
    const other = ask({ policy: 'recover' }, Float32Array.of(3, 3)) // who only recovers is promised one
    await clock.run(1)
    const [first, parity, second] = calls().sort((a, b) => a.row[0] - b.row[0])
    expect([...parity.row]).toEqual([2, 2])
    clock.slow(2)
    first.fail(new ApproxiferError('WORKER', 'it failed'))
    await turn()
    clock.slow(0.01)
    second.answer(Float32Array.of(1, 2))
    parity.answer(Float32Array.of(2, 1))
    await turn()
    expect((await other).status).toBe('exact')
    await clock.run(20)
    expect(calls().length).toBe(1)
    calls()[0].answer()
    expect((await lost).status).toBe('exact')
  })
})
