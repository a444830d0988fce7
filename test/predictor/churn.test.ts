/** Workers that come, go, hang, die and vanish, all at once. */

import { type ApproxiferError, createPredictor } from 'approxifer'
import { expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { add } from '../shared/joining-workers'
import { MoodyWorker } from '../shared/troubled-worker'
import { Feed } from '../shared/worker-changes'

it('whoever comes, goes, hangs, dies or vanishes: every query settles, right, and nobody is left behind', async () => {
  for (let seed = 1; seed <= 24; seed++) {
    const random = seeded(seed)
    const clock = new VirtualClock()
    const feed = new Feed()
    let made = 0
    const present: Changing[] = []
    const all: Changing[] = []
    const join = () => {
      const worker = new Changing(made++, clock, seeded(seed + made))
      all.push(worker)
      present.push(worker)
      feed.tell(add(worker))
    }
    const E = Number(seed % 3 === 0)
    const scheme = [{ queries: 1 + random.below(4), stragglers: 1, byzantine: 0 }, undefined][seed % 2]
    const chosen = E
      ? { queries: 1, stragglers: 1, byzantine: 1, preset: seed % 2 ? ('aaai22' as const) : undefined }
      : scheme
    for (let i = 0; i < 7; i++) join()
    const predictor = await createPredictor({ workers: feed, testing: { clock }, hangMs: 300, deadlineMs: 2000, onWarning() {}, ...(chosen && { scheme: chosen }) }) // biome-ignore format: one line
    for (let i = 0; i < 100; i++) {
      clock.after(20 * i, () => {
        const what = random.next()
        if (what < 0.4) join()
        else if (present.length) {
          const at = random.below(present.length)
          const worker = present[at]
          if (what < 0.8) feed.tell(what < 0.6 ? { remove: worker.name } : { drain: worker.name })
          if (what < 0.8) present.splice(at, 1)
          else if (what < 0.9) worker.vanish(500 * random.next())
          else worker.mood = random.next() < 0.5 ? 'silent' : 'rejects'
        }
      })
    }
    const ended: string[] = []
    for (let i = 0; i < 300; i++) {
      const ask = async () => {
        const start = clock.now()
        try {
          const { output, status } = await predictor.predict(Float32Array.of(i, 1))
          if (status === 'exact') expect(output.y.data[0]).toBe(2 * i)
          ended.push('answered')
        } catch (error) {
          ended.push((error as ApproxiferError).code)
        }
        expect(clock.now() - start).toBeLessThan(2050)
      }
      clock.after(2000 * random.next(), () => void ask())
    }
    await clock.run(6000)
    expect({ seed, ended: ended.length }).toEqual({ seed, ended: 300 })
    expect(ended.filter((how) => how === 'answered').length).toBeGreaterThan(30)
    expect(predictor.stats().open).toBe(0)
    expect(predictor.stats().workers.map(({ worker }) => worker)).toEqual(present.map(({ name }) => name))
    const closed = predictor.close()
    await clock.run()
    await closed
    expect(all.filter(({ closes }) => closes !== 1).map(({ name }) => name)).toEqual([])
  }
})

/** Nobody can restart it; it may be out of reach for a while. */
class Changing extends MoodyWorker {
  closes = 0
  gone = false
  readonly #clock: VirtualClock

  constructor(index: number, clock: VirtualClock, random: ReturnType<typeof seeded>) {
    super(index, clock, random)
    this.#clock = clock
    if (index % 2) Object.assign(this, { restart: undefined })
  }

  vanish(ms: number) {
    this.gone = true
    MoodyWorker.prototype.restart.call(this, 'out of reach')
    this.mood = 'dead'
    this.onFree?.()
    this.#clock.after(ms + 30, () => {
      this.gone = false
      this.mood = 'well'
      this.onFree?.()
    })
  }

  override async close() {
    this.closes++
    await super.close()
  }
}
