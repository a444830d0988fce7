import { expect, it } from 'vitest'
import { askAtRandom } from '../../bench/verdict/arrivals'
import { seeded } from '../../src/base/random'

it('a query that is refused ended the program: it ends the arrivals with its error', async () => {
  let asked = 0
  const ask = async (n: number) => {
    asked++
    if (n >= 2) throw new Error(`refused: ${n}`)
  }
  await expect(askAtRandom({ gapMs: 1, count: 1000, random: seeded(1) }, ask)).rejects.toThrow('refused: 2')
  expect(asked).toBeLessThan(1000)
})
