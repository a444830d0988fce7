import { expect, it } from 'vitest'
import { guarded, threw, warnOnce } from '../src/base/notices'

it('a callback that throws, or whose promise rejects, costs a warning and nothing else', async () => {
  const warnings: string[] = []
  const failed = threw('onEvent', (text) => warnings.push(text))
  const fail = () => {
    throw new Error('no disk')
  }
  guarded(fail, failed)()
  guarded(async () => fail(), failed)()
  guarded(() => Promise.reject(undefined), failed)()
  guarded(fail)()
  await new Promise((resolve) => setTimeout(resolve))
  expect(warnings).toEqual(['onEvent threw: no disk', 'onEvent threw: no disk', 'onEvent threw: undefined'])
})

it('each different warning is told once, a hundred at most, whatever the listener makes of it', () => {
  const told: string[] = []
  const warn = warnOnce((text) => {
    told.push(text)
    throw new Error('not heard')
  })
  for (let i = 0; i < 300; i++) warn(`${i % 150}`)
  expect(told).toEqual(Array.from({ length: 100 }, (_, i) => `${i}`))
})
