import { execFileSync, spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import type { Reading } from './canonical'
import { type Exploring, explore, Reputation, SCOPES, SmallWorld } from './explore'
import { timed, timeless } from './small-state'
import type { Choices } from './small-world'

/** By a process of its own that counts branches too, where that is to be known. */
it('every order of six events in small worlds keeps what is promised, and every branch that none takes has its reason', async () => {
  if (!process.env.CI) {
    const { states, broken } = await explore(6, { most: SCOPES['a liar that comes back'] })
    expect(broken).toEqual([])
    return expect(states).toBeGreaterThan(1000)
  }
  const args = ['--import', 'tsx', 'test/simulation/explore.ts', '6']
  const told = execFileSync(process.execPath, args, { encoding: 'utf8' }) // throws where something is broken
  expect(told).toContain('0 broken promises, 0 branches without a reason')
})

it('finds an honest worker that is ejected for another’s lie, and the shortest way there', async () => {
  const { lied } = Reputation.prototype
  Reputation.prototype.lied = function (worker) {
    lied.call(this, { ...worker, name: 'w1', identity: 'k1' })
  }
  try {
    const { broken } = await explore(4, { most: { ask: 1, lie: 1, leave: 1 } })
    expect(broken[0].what).toBe('k1 is ejected, and honest')
    expect(broken[0].path.filter((event) => event.startsWith('lie'))).toHaveLength(1)
    expect(broken[0].path).toHaveLength(4)
  } finally {
    Reputation.prototype.lied = lied
  }
})

it('a machine that is another one under another name has its lie proven by itself', async () => {
  const path = 'ask, ask, lie 0, leave 0, rename 0, fail 1, fail 4, lie 0'.split(', ')
  const most = { ask: 2, lie: 2, leave: 1, rename: 1, fail: 2 }
  expect(await brokenBy(path, { most, isKnown: false })).toEqual(['query 0 is exact, and a lie'])
  expect(await brokenBy(path.slice(0, -1), { most })).toEqual([])
})

const FEW = { most: { ask: 2, lie: 1, leave: 1 } }
const WAITS = { most: { ask: 1, lie: 1, wait: 2 } }

describe('states that are taken for one are', () => {
  it.each([
    ['a liar that comes back', '4'],
    ['hangs and deadlines', '7'],
  ])(
    '%s: all paths, and each state once, lead to the same verdicts and endings by the same branches',
    (scope, depth) => {
      const [once, all] = [[], ['paths']].map((rest) => {
        const args = ['--import', 'tsx', 'test/simulation/explore.ts', depth, scope, ...rest]
        return spawnSync(process.execPath, args, { encoding: 'utf8' }).stdout
      })
      const states = (told: string) => Number(/: (\d+) states/.exec(told)?.[1])
      const rest = (told: string) => told.slice(told.indexOf('verdicts'))
      expect(states(all)).toBeGreaterThan(1.5 * states(once))
      expect(rest(once)).toContain('0 broken promises')
      expect(rest(all)).toBe(rest(once))
    },
  )

  it.each([
    ['without time', 4, FEW],
    ['with time', 6, WAITS],
  ])('%s: the same may happen to them, and leads to the same states', async (_, depth, exploring) => {
    expect(await torn(depth, exploring)).toBe(0)
  })

  it('takes in what nobody told it of: left out, a defect that remembers who was there is missed', async () => {
    const { audits, isTrusted } = Reputation.prototype
    type Short = InstanceType<typeof Reputation> & {
      isShort?: boolean
      _pool: { size: number; worker(name: string): unknown }
    }
    Reputation.prototype.audits = function (this: Short, ...all) {
      this.isShort = this._pool.size < 5 && this._pool.worker('w0') !== undefined // it is asked with each query
      return audits.apply(this, all)
    }
    Reputation.prototype.isTrusted = function (this: Short, worker) {
      return !this.isShort && isTrusted.call(this, worker) // no answer counts
    }
    try {
      const most = { ask: 1, leave: 1 }
      const [all, less] = [
        await explore(7, { most }),
        await explore(7, { most, reading: without('Reputation.isShort') }),
      ]
      expect([...less.told]).toEqual(['exact'])
      expect([...all.told].sort()).toEqual(['QUORUM', 'exact'])
      expect(await torn(4, { most })).toBe(0)
      expect(await torn(4, { most, reading: without('Reputation.isShort') })).toBeGreaterThan(0)
    } finally {
      Object.assign(Reputation.prototype, { audits, isTrusted })
    }
  })
})

const without = (field: string) => ({ ...timeless, omitted: { ...timeless.omitted, [field]: 'left out' } })

async function brokenBy(path: readonly string[], choices: Choices): Promise<string[]> {
  const world = await SmallWorld.start(choices)
  for (const event of path) await world.happen(event)
  await world.close()
  return world.broken
}

/** Of how many states that are taken for one the events do not lead to the same ones. */
async function torn(depth: number, exploring: Exploring): Promise<number> {
  const { most, reading = most.wait ? timed : timeless } = exploring
  const states = new Map<string, string>()
  const next = new Map<string, string[]>()
  const met: Exploring['met'] = (path, world) => {
    const state = world.state(reading as Reading)
    states.set(path.join(), state)
    if (path.length) next.set(path.slice(0, -1).join(), [...(next.get(path.slice(0, -1).join()) ?? []), state])
  }
  await explore(depth, { ...exploring, reading: 'paths', met })
  const led = new Map<string, Set<string>>()
  for (const [path, after] of next) {
    const state = states.get(path) as string
    led.set(state, (led.get(state) ?? new Set()).add([...new Set(after)].sort().join()))
  }
  return [...led.values()].filter(({ size }) => size > 1).length
}
