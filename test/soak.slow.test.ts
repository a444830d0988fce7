import { createPredictor, type PredictorOptions } from 'approxifer'
import { expect, it } from 'vitest'
import { configurations } from '../bench/soak/configurations'
import { type Digit, loadDigits } from '../bench/soak/digits'
import { serve, startWorkers } from '../bench/soak/serving'
import { seeded } from '../src/base/random'

/** What a memory learned by the time it checked some answers: on a busy machine that takes longer than a small soak. */
async function learned(options: Omit<PredictorOptions, 'workers' | 'model'>, digits: readonly Digit[]) {
  await using predictor = await createPredictor({ ...options, workers: await startWorkers() })
  for (let i = 0, checked = 0; checked < 20; i++) {
    const { status } = await predictor.predict(digits[i % digits.length].image)
    checked += Number(status === 'checked')
  }
  return await predictor.save()
}

it('a small soak with a liar counts checked answers and ejections, and everything holds', async () => {
  const configuration = configurations.find(({ name }) => name === 'liars')
  if (!configuration) throw new Error('no configuration of that name')
  const load = { digits: await loadDigits(), random: seeded(7) }
  const [options] = configuration.predictors
  const memory = { state: await learned(options, load.digits) }
  const served = await serve(configuration, { ...options, memory }, load, 500, () => {})
  expect(served.checks.filter(({ holds }) => !holds)).toEqual([])
  expect(served.checks.length).toBeGreaterThan(15)
  expect(served.endings.checked).toBeGreaterThan(0)
  expect(served.ejections).toBeGreaterThan(0)
}, 240_000)
