/** Servers on mixed hardware, whose answers to one query differ a little: one model up to `probe.rounding`, and two beyond it. */

import { createPredictor, type PredictorOptions } from 'approxifer'
import { afterEach, expect, it } from 'vitest'
import { VirtualClock } from '../../../src/testing/virtual-clock'
import { httpWorkers } from '../../../src/workers/http/fleet'
import { PretendServer } from '../../shared/simulated-server'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

/** What it answers to [x, ..] is so many times that. @returns how many workers have each model */
async function modelVersionsOf(
  factors: readonly number[],
  probe?: { rounding: number },
  more: Partial<PredictorOptions> = {},
) {
  const servers = factors.map((factor) => Object.assign(new PretendServer(), { factor }))
  const fetch = ((url: string, init: RequestInit) => servers[new URL(url).hostname.charCodeAt(0) - 97].fetch(url, init)) as typeof globalThis.fetch // biome-ignore format: one line
  const clock = new VirtualClock()
  const urls = servers.map((_, i) => `http://${String.fromCharCode(97 + i)}:1`)
  const workers = httpWorkers(urls, {
    model: 'm',
    binary: false,
    fetch,
    clock,
    onWarning() {},
    ...(probe && { probe }),
  })
  const start = createPredictor({ workers, rollout: {}, testing: { clock }, onWarning() {}, ...more })
  await clock.run(10_000)
  const predictor = await start
  await clock.run(clock.now() + 10_000) // modules are loaded outside of made time
  closing.push(() => predictor.close())
  const modelVersions = () => predictor.modelVersions().map(({ state, workers }) => `${workers} ${state}`)
  /** A minute in which somebody looks every second: else servers are not examined. */
  const minute = async () => {
    for (let second = 0; second < 60; second++) {
      modelVersions()
      await clock.run(clock.now() + 1000)
    }
  }
  return { servers, minute, predictor, modelVersions }
}

it('answers that differ by less than a thousandth are of one model: all are one model version', async () => {
  const { modelVersions } = await modelVersionsOf([2, 2.0008, 1.9993, 2])
  expect(modelVersions()).toEqual(['4 serving'])
})

it('answers that differ by more are of another, which gathers beside the one that most have', async () => {
  const { modelVersions } = await modelVersionsOf([2, 2.0025, 2, 2.0025, 2])
  expect(modelVersions()).toEqual(['3 serving', '2 gathering'])
})

it('how much is said by probe.rounding', async () => {
  expect((await modelVersionsOf([2, 2.0015, 2], { rounding: 1e-4 })).modelVersions()).toEqual([
    '2 serving',
    '1 gathering',
  ])
  expect((await modelVersionsOf([2, 2.05, 2], { rounding: 0.03 })).modelVersions()).toEqual(['3 serving'])
})

it('a server that comes back with other hardware is of the model that it had', async () => {
  const { servers, minute, modelVersions } = await modelVersionsOf([2, 2, 2])
  servers[0].factor = 2.001
  await minute() // it is examined
  expect(modelVersions()).toEqual(['3 serving'])
  servers[0].factor = 2.01
  await minute()
  expect(modelVersions()).toEqual(['2 serving', '1 gathering'])
})
