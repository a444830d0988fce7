/** The built `approxifer serve` with a thread of its own beside a server that tells no fingerprint. */

import { afterEach, expect, it } from 'vitest'
import { QuirkServer } from '../shared/oip-quirks'
import { fingerprints, served, type Which } from '../shared/rollout-digits'
import { json, LENET, Served } from '../shared/served-process'
import { until } from '../shared/waiting'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** @returns the models that it knows, when both of its workers have joined */
async function modelVersions(which: Which, ...more: string[]): Promise<{ id: string; workers: number }[]> {
  const server = await new QuirkServer('triton', served(which)).listen()
  ends.push(() => server.kill())
  const gateway = await Served.start([`digits=${LENET}`, '--workers', `1,${server.url}`, '--shadow', '.1', ...more])
  ends.push(() => gateway.stop())
  let known: { id: string; workers: number }[] = []
  await until(async () => {
    known = (await (await fetch(`${gateway.url}/v2/models/digits/model-versions`)).json()).model_versions
    return known.reduce((sum, { workers }) => sum + workers, 0) === 2
  })
  expect((await gateway.infer(json())).status).toBe(200)
  return known
}

it.each([[[]], [['--verify', 'sampled']]])(
  'a server with the model of the thread is of its model version %j',
  async (more) => {
    expect(await modelVersions('old', ...more)).toMatchObject([{ id: fingerprints.old, workers: 2 }])
  },
)

it('one with another model has one of its own', async () => {
  const [own, other] = await modelVersions('new')
  expect([own, other]).toMatchObject([{ id: fingerprints.old, workers: 1 }, { workers: 1 }])
  expect(other.id).not.toBe(own.id)
})
