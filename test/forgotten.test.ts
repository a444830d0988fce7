import { ApproxiferError, createPredictor } from 'approxifer'
import { expect, it } from 'vitest'
import { seeded } from '../src/random'
import { HandWorker, turn } from './shared/house'

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

it('a lost query that is being looked up when it is overdue is asked again, rather than forgotten until its deadline', async () => {
  const clock = new StepClock()
  const workers = ['a', 'b', 'c'].map((name) => new HandWorker(name))
  const predictor = await createPredictor({
    workers,
    scheme: { queries: 1, code: 'systematic' },
    hedges: 0,
    memory: { features: 'raw' },
    clock,
    deadlineMs: 1e6,
  })
  const random = seeded(1)
  const ask = () => predictor.predict(Float32Array.of(random.gauss(), random.gauss()))
  const calls = () => workers.flatMap((worker) => worker.calls)
  for (let i = 0; i < 300; i++) {
    void ask()
    await clock.run(3)
    for (const { answer } of calls()) answer(Float32Array.of(random.gauss(), random.gauss()))
    await turn()
    await clock.run(20)
  }
  const lost = ask()
  await turn()
  const [call] = calls()
  await clock.run(3.5) // it is late
  clock.slow(2) // so that looking it up does not end in this task
  call.fail(new ApproxiferError('WORKER', 'it failed'))
  await turn()
  expect(calls()).toEqual([])
  clock.slow(0.01)
  await clock.run(1) // it is overdue, and then it has been looked up
  expect(calls().length).toBe(1)
  calls()[0].answer()
  expect((await lost).status).toBe('exact')
})
