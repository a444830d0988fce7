import { execFileSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { Reputation } from '../../src/trust/reputation'
import { explore } from './explore'

it('every order of six events in a small world keeps what is promised', async () => {
  const { states, broken } = await explore(6)
  expect(broken).toEqual([])
  expect(states).toBeGreaterThan(1000)
}, 60_000)

it('finds an honest worker that is ejected for another’s lie, and the shortest way there', async () => {
  const { lied } = Reputation.prototype
  Reputation.prototype.lied = function (worker) {
    lied.call(this, { ...worker, name: 'w1', identity: 'w1' })
  }
  try {
    const { broken } = await explore(5)
    expect(broken[0].what).toBe('w1 is ejected, and honest')
    expect(broken[0].path.filter((event) => event.startsWith('lie'))).toHaveLength(1)
    expect(broken[0].path.length).toBeLessThanOrEqual(5)
  } finally {
    Reputation.prototype.lied = lied
  }
}, 60_000)

it.runIf(process.env.CI)(
  'every branch of a decision that no order of events takes has its reason',
  () => {
    const told = execFileSync(process.execPath, ['--import', 'tsx', 'test/simulation/explore.ts', '6'], {
      encoding: 'utf8',
    })
    expect(told).toContain('0 of them without a reason')
  },
  120_000,
)
