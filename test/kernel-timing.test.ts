import { afterEach, expect, it, vi } from 'vitest'

afterEach(() => {
  vi.restoreAllMocks()
})

it('a call that another program holds up while the clock is coarse has a time that is not 0, so that the plot is not empty', async () => {
  const now = performance.now.bind(performance)
  vi.spyOn(performance, 'now').mockImplementation(() => Math.floor(now() / 5) * 5)
  const { timesOf } = await import('../bench/kernels/timing')
  let calls = 0
  const heldUp = () => {
    if (calls++) return
    const since = now()
    while (now() - since < 40);
  }
  const times = await timesOf({ heldUp, other: () => {} })
  expect(Math.min(...Object.values(times))).toBeGreaterThan(0)
  expect(times.heldUp).toBeLessThan(1000)
})
