/** The built `approxifer serve` over servers that are rolled to other weights: what its flags say of a new model, and what it tells of it. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { scratch } from '../shared/cli'
import { type Model, QuirkServer } from '../shared/oip-quirks'
import { served } from '../shared/rollout-digits'
import { follow, json, LENET, Served } from '../shared/served-process'
import { until } from '../shared/waiting'

const { folder } = scratch()
const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

interface Told {
  model: string
  id: string
  state: string
  workers: number
  compared: number
  agreed: number
  answered: number
}

/** The same labels by other weights. */
function retrained(): Model {
  const { run, ...rest } = served('old')
  const scaled: Model['run'] = async (rows, count) =>
    (await run(rows, count)).map((output) => ({ ...output, values: output.values.map((value) => 1.1 * value) }))
  return { ...rest, run: scaled }
}

async function threeServers(flags: readonly string[]) {
  const servers = await Promise.all([1, 2, 3].map(() => new QuirkServer('triton', served('old')).listen()))
  ends.push(() => Promise.all(servers.map((server) => server.kill().catch(() => {}))))
  const gateway = await Served.start(['digits', '--workers', servers.map(({ url }) => url).join(), ...flags])
  ends.push(() => gateway.stop())
  const { told: events, stop } = await follow<Told>(gateway, 'model', '?model=digits')
  ends.push(stop)
  const statuses = new Set<number>()
  /** Asks until it is so. */
  const asking = async (isSo: () => unknown) => {
    for (let i = 0; !isSo(); i++) statuses.add((await gateway.infer(json(i % 300))).status)
  }
  const roll = async (server: QuirkServer, model: Model) => {
    await server.kill()
    server.model = model
    await server.listen()
  }
  const gauge = async (id: string, state: string) =>
    (await gateway.metrics()).get(
      `approxifer_model_version_workers{model="digits",model_version="${id}",state="${state}"}`,
    )
  return { gateway, servers, events, statuses, asking, roll, gauge }
}

it('a model that disagrees is refused, and one that agrees is shadowed, answers a share and takes over: events and metrics say so', async () => {
  const flags = ['--shadow', '1', '--canary', '0.5', '--agreement', '0.9']
  const { gateway, servers, events, statuses, asking, roll, gauge } = await threeServers(flags)
  const { model_versions: versions } = await (await fetch(`${gateway.url}/v2/models/digits/model-versions`)).json()
  await until(async () => (await gauge(versions[0].id, 'serving')) === 3) // it is ready before all have joined
  await roll(servers[0], served('new'))
  await asking(() => events.at(-1)?.state === 'refused')
  expect(events.map(({ state }) => state)).toEqual(['gathering', 'shadow', 'refused'])
  const { id, compared, agreed } = events[2]
  expect(events[2]).toMatchObject({ model: 'digits', workers: 1, answered: 0 })
  expect([compared >= 100, agreed < 0.9 * compared, await gauge(id, 'refused')]).toEqual([true, true, 1])
  await roll(servers[0], retrained())
  await asking(() => events.at(-1)?.state === 'canary')
  const next = events.at(-1) as Told
  expect([next.compared >= 100, next.agreed === next.compared, next.id === id]).toEqual([true, true, false])
  await roll(servers[1], retrained())
  await asking(() => events.some((each) => each.state === 'serving'))
  expect(events.findLast(({ state }) => state === 'serving')).toMatchObject({ id: next.id, workers: 2 })
  expect([await gauge(next.id, 'serving'), await gauge(versions[0].id, 'gathering')]).toEqual([2, 1])
  expect([...statuses]).toEqual([200])
  for (const server of servers.slice(0, 2)) await roll(server, served('old')) // for a moment none has the model that serves
  const first = `the model ${versions[0].id} takes over from ${next.id}:`
  await asking(() => gateway.lines.some(({ msg }) => String(msg).startsWith(first)))
  const told = gateway.lines.filter(({ msg }) => /^the model \S+ takes over from /.test(String(msg)))
  expect(told).toMatchObject([
    { level: 'warn', model: 'digits' },
    { level: 'warn', model: 'digits' },
  ]) // there and back
})

it('a callback is no data that a file can have', async () => {
  const config = join(folder, 'callback.json')
  writeFileSync(config, JSON.stringify({ models: { digits: { model: LENET, onEvent: 'x' } } }))
  const refused = new Served(['--config', config])
  await expect(refused.line(() => false)).rejects.toThrow(/models\.digits\.onEvent: expected .*, got an unknown option/)
})
