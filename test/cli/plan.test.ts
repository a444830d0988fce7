import { createPredictor } from 'approxifer'
import { afterEach, expect, it, vi } from 'vitest'
import { type PlanOptions, plan } from '../../src/cli/plan'

afterEach(() => void vi.restoreAllMocks())

/** What `plan --json` prints. */
async function planned(options: PlanOptions) {
  const print = vi.spyOn(console, 'log').mockImplementation(() => {})
  await plan({ ...options, json: true })
  return JSON.parse(print.mock.lastCall?.[0])
}

const schemes = [1, 4, 8].flatMap((queries) =>
  [0, 1, 3].flatMap((stragglers) => [0, 1, 2].map((byzantine) => ({ queries, stragglers, byzantine }))),
)

it.each([undefined, 'aaai22'] as const)(
  'plans as many workers as createPredictor asks for, preset %s',
  async (preset) => {
    for (const scheme of schemes) {
      const { approxifer } = await planned({ ...scheme, ...(preset && { preset }) })
      const started = createPredictor({ scheme: { ...scheme, preset }, workers: [] })
      await expect(started, JSON.stringify(scheme)).rejects.toThrow(`workers: expected >= ${approxifer.workers}, got 0`)
    }
  },
)

it('compares with the paper’s code only where that needs more workers', async () => {
  expect((await planned({ queries: 8, stragglers: 1 })).paper).toBe(null)
  expect((await planned({ queries: 8, stragglers: 1, byzantine: 1 })).paper).toMatchObject({ workers: 19, quorum: 18 })
  expect((await planned({ queries: 8, byzantine: 1, preset: 'aaai22' })).paper).toBe(null)
})
