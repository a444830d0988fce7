import { expect, it } from 'vitest'
import { configurations } from '../bench/soak/configurations'
import { loadDigits } from '../bench/soak/digits'
import { serve } from '../bench/soak/serving'
import { seeded } from '../src/random'

it('a small soak with a liar counts checked answers and ejections, and everything holds', async () => {
  const configuration = configurations.find(({ name }) => name === 'liars')
  if (!configuration) throw new Error('no configuration of that name')
  const load = { digits: await loadDigits(), random: seeded(7) }
  const served = await serve(configuration, configuration.predictors[0], load, 500, () => {})
  expect(served.checks.filter(({ holds }) => !holds)).toEqual([])
  expect(served.checks.length).toBeGreaterThan(15)
  expect(served.endings.checked).toBeGreaterThan(0)
  expect(served.ejections).toBeGreaterThan(0)
}, 240_000)
