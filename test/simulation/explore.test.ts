import { execFileSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { Reputation } from '../../src/trust/reputation'
import { explore } from './explore'

/** By a process of its own that counts branches too, where that is to be known. */
it('every order of six events in a small world keeps what is promised, and every branch that none takes has its reason', async () => {
  if (!process.env.CI) {
    const { states, broken } = await explore(6)
    expect(broken).toEqual([])
    return expect(states).toBeGreaterThan(1000)
  }
  const args = ['--import', 'tsx', 'test/simulation/explore.ts', '6']
  const told = execFileSync(process.execPath, args, { encoding: 'utf8' }) // throws where something is broken
  expect(told).toContain('0 broken promises')
  expect(told).toContain('0 of them without a reason')
  expect(Number(/^(\d+) states/m.exec(told)?.[1])).toBeGreaterThan(1000)
})

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
})
