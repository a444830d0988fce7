import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { scratch } from '../shared/cli'
import { until } from '../shared/patience'
import { json, LENET, Served } from '../shared/served'

const { folder } = scratch()

describe('a folder for what was learned', () => {
  it('is written when the server ends, and read when it starts', async () => {
    const state = join(folder, 'state')
    const args = [`digits=${LENET}`, '--workers', '3', '--queries', '2', '--stragglers', '1', '--state', state]
    const first = await Served.start(args)
    for (let i = 0; i < 200; i++) await first.infer(json(i))
    await until(async () => ((await first.metrics()).get('approxifer_remembered_queries{model="digits"}') ?? 0) > 0)
    const before = (await first.metrics()).get('approxifer_remembered_queries{model="digits"}') ?? 0
    expect(await first.stop()).toBe(0)
    const second = await Served.start(args)
    const after = (await second.metrics()).get('approxifer_remembered_queries{model="digits"}')
    expect(after).toBeGreaterThanOrEqual(before)
    expect(await second.stop()).toBe(0)
  })
})
