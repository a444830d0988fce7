/** A stopped process, a frozen page, a laptop that slept: after the standstill no worker that stood still as well counts as hung, dead or slow. */

import { createPredictor, type PredictorOptions } from 'approxifer'
import type { Endpoint } from 'comlink'
import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { afterRunning } from '../../src/base/standstill'
import { MemoryThread } from '../../src/memory/thread'
import { SimulatedWorker } from '../../src/testing/simulated-worker'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker, query } from '../shared/hand-predictor'
import { MemoryFleet } from '../shared/memory-fleet'

const STOOD_MS = 40_000
const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }

/** Time passes for the clock, and nothing runs. */
async function standStill(clock: VirtualClock): Promise<void> {
  clock.after(0, () => clock.spend(STOOD_MS))
  await clock.run(clock.now() + STOOD_MS)
}

const pass = (clock: VirtualClock, ms: number) => clock.run(clock.now() + ms)

describe('afterRunning', () => {
  const timed = (clock: VirtualClock, ms: number) => {
    const called: number[][] = []
    afterRunning(clock, ms, (stoodMs) => called.push([clock.now(), stoodMs]))
    return called
  }

  it('is exact while the process runs', async () => {
    const clock = new VirtualClock()
    const called = timed(clock, 30_000)
    await clock.run()
    expect(called).toEqual([[30_000, 0]])
  })

  it.each([0, 10_000, 29_999])('does not count a standstill after %i ms', async (afterMs) => {
    const clock = new VirtualClock()
    const called = timed(clock, 30_000)
    await clock.run(afterMs)
    await standStill(clock)
    await clock.run()
    const [[at, stoodMs]] = called
    expect(at).toBeGreaterThanOrEqual(30_000 + STOOD_MS)
    expect(at).toBeLessThanOrEqual(1.25 * 30_000 + STOOD_MS)
    expect(stoodMs).toBeGreaterThanOrEqual(STOOD_MS - 7500)
  })

  it('ends where every timer is late, as in a page hidden for long', async () => {
    const late = new VirtualClock()
    const called: number[] = []
    const minutes = { now: () => late.now(), after: (_: number, f: () => void) => late.after(60_000, f) }
    afterRunning(minutes, 30_000, () => called.push(late.now()))
    await late.run()
    expect(called).toEqual([5 * 60_000])
  })
})

describe('a worker of this machine, which stood still as well', () => {
  it.each([0, 5000, 25_000])('is not restarted, %i ms after it began, and its answer is given', async (beganMs) => {
    const clock = new VirtualClock()
    const workers = ['a', 'b'].map((name) => new HandWorker(name))
    const predictor = await createPredictor({
      workers,
      deadlineMs: 100_000,
      hedge: false,
      testing: { clock },
      onWarning() {},
    })
    const given = predictor.predict(query(1))
    await pass(clock, beganMs)
    await standStill(clock)
    await pass(clock, 4000)
    const [asked] = workers.filter(({ calls }) => calls.length)
    asked.calls[0].answer()
    await pass(clock, 10)
    expect((await given).status).toBe('exact')
    expect(workers.flatMap(({ restarts }) => restarts)).toEqual([])
    await predictor.close()
  })

  it('is restarted where it hangs all the same', async () => {
    const clock = new VirtualClock()
    const worker = new HandWorker('a')
    const predictor = await createPredictor({
      workers: [worker],
      deadlineMs: 100_000,
      testing: { clock },
      onWarning() {},
    })
    const failed = predictor.predict(query(1)).catch(({ code }) => code)
    await standStill(clock)
    await pass(clock, 40_000)
    expect(worker.restarts).toEqual(['hung for 30000 ms'])
    await pass(clock, 40_000)
    expect(await failed).toBe('DEADLINE')
    await predictor.close()
  })

  it('is not restarted by its machine in a fleet', async () => {
    const clock = new VirtualClock()
    const fleet = new MemoryFleet()
    const worker = new HandWorker('a')
    const { machine } = await fleet.machine({ workers: [worker], name: 'm', clock, key: false, onWarning() {} })
    const feed = fleet.workers({ clock, expireMs: 200_000, onWarning() {} })
    const predictor = await createPredictor({ workers: feed, deadlineMs: 200_000, testing: { clock }, onWarning() {} })
    const given = predictor.predict(query(1))
    await pass(clock, 1000)
    await standStill(clock)
    await pass(clock, 4000)
    expect(worker.restarts).toEqual([])
    worker.calls[0].answer()
    await pass(clock, 1000)
    expect((await given).status).toBe('exact')
    await predictor.close()
    await machine.close()
  })
})

it('a call that is sent before the heartbeats of the standstill are read does not count as lost', async () => {
  const clock = new VirtualClock()
  const fleet = new MemoryFleet()
  const worker = new HandWorker('a')
  const { machine } = await fleet.machine({ workers: [worker], name: 'm', clock, key: false, onWarning() {} })
  const feed = fleet.workers({ clock, onWarning() {} })
  const predictor = await createPredictor({ workers: feed, hedge: false, testing: { clock }, onWarning() {} })
  await pass(clock, 2000)
  const beat = fleet.hub.said.findLast(({ to }) => to.startsWith('heartbeat/'))
  const given = predictor.predict(query(1))
  await pass(clock, 1)
  const link = fleet.hub.open()
  for (let i = 0; beat && i < 80; i++) link.say(beat.to, beat.bytes.slice())
  await pass(clock, 1)
  worker.calls[0].answer()
  await pass(clock, 10)
  expect((await given).status).toBe('exact')
  expect(predictor.stats().workers.map(({ failed }) => failed)).toEqual([0])
  await predictor.close()
  await machine.close()
})

describe('the thread of the memory, which stood still as well', () => {
  const plan = { core: 'js', signature, criterion: { kind: 'within', within: 1 }, memory: {}, learned: undefined }
  const opened = (clock: VirtualClock) => {
    const lost: string[] = []
    const endpoint = { postMessage() {}, addEventListener() {}, removeEventListener() {} } satisfies Endpoint
    const thread = new MemoryThread(clock, () => ({ endpoint, hold() {}, async terminate() {} }))
    const memory = thread.open(
      plan as never,
      (why) => lost.push(why),
      () => {},
    )
    const own = Float32Array.of(1, 2)
    memory.learn({ query: () => own, own, from: 'a', spread: [] })
    return { memory, lost }
  }

  it('is not given up while it starts', async () => {
    const clock = new VirtualClock()
    const { lost } = opened(clock)
    await pass(clock, 9000)
    await standStill(clock)
    expect(lost).toEqual([])
    await pass(clock, 10_000)
    expect(lost).toEqual(['said nothing within 10000 ms'])
  })
})

describe('what is known of the speed of workers', () => {
  /** Answers that come during the standstill wait to be read; those of workers that stood still, too, come later by as much. */
  async function outcomes(stoodToo: boolean, options: Partial<PredictorOptions>) {
    const clock = new VirtualClock()
    const random = seeded(7)
    let stoppedAt = Number.POSITIVE_INFINITY
    const outside = {
      now: () => clock.now(),
      after(ms: number, f: () => void) {
        const due = clock.now() + ms
        let cancel = clock.after(ms, () => {
          if (clock.now() - due < STOOD_MS / 2) return f()
          cancel = clock.after(stoodToo ? due - stoppedAt : 1, f)
        })
        return () => cancel()
      },
    }
    const serviceMs = () => 50 * (0.7 + 0.6 * random.next()) * (random.next() < 0.02 ? 10 : 1)
    const workers = Array.from(
      { length: 4 },
      (_, i) => new SimulatedWorker(i, { clock: outside, signature, slots: 4, serviceMs, answer: (v) => v }),
    )
    const predictor = await createPredictor({ workers, testing: { clock }, onWarning() {}, ...options })
    const ended: { at: number; tookMs: number; code: string }[] = []
    const ask = (untilMs: number) => {
      const at = clock.now()
      if (at >= untilMs) return
      const end = (code: string) => ended.push({ at, tookMs: clock.now() - at, code })
      predictor.predict(Float32Array.of(random.next(), 1)).then(
        () => end('answered'),
        ({ code }) => end(code),
      )
      clock.after(10 * random.next(), () => ask(untilMs))
    }
    ask(4000)
    await clock.run(4000)
    stoppedAt = clock.now()
    await standStill(clock)
    const wokeAt = clock.now()
    ask(wokeAt + 4000)
    await pass(clock, 20_000)
    const stats = predictor.stats()
    await predictor.close()
    const of = (from: number, to: number) => ended.filter(({ at }) => at >= from && at < to)
    return { across: of(0, stoppedAt), after: of(wokeAt, Number.POSITIVE_INFINITY), open: stats.open }
  }

  it.each([
    ['of other machines', false],
    ['of this machine', true],
  ])('%s is not spoiled: who asks after the standstill is answered, as fast as before', async (_, stoodToo) => {
    const { across, after, open } = await outcomes(stoodToo, { deadlineMs: 1000 })
    expect(open).toBe(0)
    const late = across.filter(({ tookMs }) => tookMs > 1031) // a deadline and its overtime
    for (const { at, tookMs, code } of late) {
      expect(code).toBe('DEADLINE')
      expect(at + tookMs).toBeLessThan(4000 + STOOD_MS + 50)
    }
    expect(late.length).toBeGreaterThan(0)
    expect(after.filter(({ code }) => code !== 'answered')).toEqual([])
    const times = after.map(({ tookMs }) => tookMs).sort((a, b) => a - b)
    expect(times[times.length >> 1]).toBeLessThan(60)
  })
})
