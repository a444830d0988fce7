/** Wishes that come in any order, at any time, for loads that end, fail or never end: what is served in the end is the last wish. */

import { expect, it, vi } from 'vitest'
import { type Random, seeded } from '../../src/base/random'
import { DesiredModel, type Serving } from '../../src/cli/serve/desired-model'
import { Models } from '../../src/gateway/models'
import { LENET } from '../shared/served-process'

interface Options {
  version: string
  signal: AbortSignal
}
vi.mock('../../src/cli/serve/fleet', () => ({
  predictorOptions: async (_: string, { version }: { version: string }, __: unknown, signal: AbortSignal) => {
    await turns(2)
    return { version, signal }
  },
}))

const turn = () => new Promise((resolve) => setImmediate(resolve))
const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await turn()
}

async function aborted(signal: AbortSignal): Promise<never> {
  while (!signal.aborted) await turn()
  throw new Error('aborted')
}

function servedBy(random: Random) {
  const closed: string[] = []
  let open = 0
  const start = async ({ version, signal }: Options) => {
    await turns(random.below(6))
    if (version.startsWith('never')) await aborted(signal)
    if (version.startsWith('bad')) throw new Error('no model')
    open++
    const close = async () => {
      open--
      closed.push(version)
    }
    return { predictor: { close, version, tenants: [], renewals: 0 } as never, text: '' }
  }
  const rest = { store: undefined, saveEveryMs: 1000, clock: undefined as never, warn: () => {} }
  const models = new Models<Options>({ start, versionOf: ({ version }) => version, ...rest })
  const gateway = {
    load: async (name: string, model: Options) => models.load(name, model),
    unload: async (name: string) => models.unload(name),
    predictor: (name: string) => models.find(name).predictor,
    get names() {
      return models.names
    },
  }
  const log = { info: () => {}, error: () => {} }
  const serving = {
    gateway,
    log,
    warn: () => {},
    listener: () => () => {},
    onChange: () => {},
    isEnd: () => false,
  } as never as Serving
  return { models, serving, openCount: () => open }
}

it.each(Array.from({ length: 300 }, (_, seed) => seed + 1))('seed %i', async (seed) => {
  const random = seeded(seed)
  const { models, serving, openCount } = servedBy(random)
  const model = new DesiredModel('m', serving)
  const count = 1 + random.below(8)
  const outcomes: Promise<unknown>[] = []
  let last: string | undefined
  for (let i = 0; i <= count; i++) {
    const kinds = ['good', 'good', 'good', 'bad', 'never', undefined]
    const kind = i === count ? (random.below(4) ? 'good' : undefined) : kinds[random.below(kinds.length)]
    last = kind && `${kind}-${random.below(3)}`
    const wish = last === undefined ? undefined : { model: LENET, workers: 1, version: last }
    outcomes.push(model.become(wish))
    await turns(random.below(10))
  }
  const all = await Promise.all(outcomes)
  const final = all.at(-1)
  expect(['loaded', 'unloaded', 'kept']).toContain(final)
  await turns(20)
  if (last === undefined) expect(models.names).toEqual([])
  else expect(models.find('m').version).toBe(last)
  expect(openCount()).toBe(last === undefined ? 0 : 1) // nothing is left over
  expect(model.isServed).toBe(last !== undefined)
  model.stop()
})
