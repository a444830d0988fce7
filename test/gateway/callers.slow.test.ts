/** Callers without a tenant that share a model: who asks little is answered beside who asks too much. */

import type { Gateway, GatewayModel, Principal } from 'approxifer/gateway'
import { expect, it } from 'vitest'
import { SimulatedWorker } from '../../bench/shared/simulated'
import { seeded } from '../../src/base/random'
import { tellClient } from '../../src/gateway/body'
import { createGateway } from '../../src/gateway/create'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { inputOf, post } from '../shared/started-gateway'

const MS = 10
const WORKERS = 4
const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }

/** Workers that take about 10 ms, behind a gateway. */
async function house(more: object = {}) {
  const clock = new VirtualClock()
  const [arriving, serving] = [seeded(7), seeded(8)]
  const law = () => MS * Math.exp(0.1 * serving.gauss())
  const answer = (row: Float32Array) => row.map((x) => 2 * x)
  const workers = Array.from(
    { length: WORKERS },
    (_, i) => new SimulatedWorker(i, { clock, serviceMs: law, answer, signature }),
  )
  const model = { workers, deadlineMs: 100, testing: { clock }, onWarning() {}, ...more } as GatewayModel
  const gateway = createGateway({ models: { m: model as never }, clock }) as unknown as Gateway<GatewayModel>
  await gateway.ready()
  /** So many times the capacity until a time. @returns the statuses of those that were asked after the first half second */
  const offer = (load: number, until: number, [address, principal]: Caller) => {
    const statuses: number[] = []
    const arrive = async () => {
      const since = clock.now()
      if (since >= until) return
      clock.after((-Math.log(1 - arriving.next()) * MS) / (load * WORKERS), arrive)
      const request = post(inputOf(1, [arriving.gauss(), arriving.gauss()]))
      tellClient(request, { address, cut() {} })
      const { status } = await gateway(request, principal)
      if (since >= 500) statuses.push(status)
    }
    clock.after(0, arrive)
    return statuses
  }
  return { clock, gateway, offer }
}

type Caller = [address: string, principal?: Principal]

const share = (statuses: number[]) => statuses.filter((status) => status === 200).length / statuses.length

it.each<[string, Caller, Caller]>([
  ['two addresses', ['10.0.0.1'], ['10.0.0.2']],
  ['two names at one address', ['10.0.0.1', { name: 'little' }], ['10.0.0.1', { name: 'much' }]],
  ['two tokens without names', ['10.0.0.1', { caller: 'a', tenant: '' }], ['10.0.0.1', { caller: 'b', tenant: '' }]],
])('of a fifth of the capacity .95 is answered beside 5 times the capacity: %s', async (_, little, much) => {
  const { clock, gateway, offer } = await house()
  const [few, many] = [offer(0.2, 5000, little), offer(5, 5000, much)]
  await clock.run()
  expect(few.length).toBeGreaterThan(200)
  expect(share(few)).toBeGreaterThan(0.95)
  const answered = [...few, ...many].filter((status) => status === 200).length
  expect(answered / ((4500 / MS) * WORKERS)).toBeGreaterThan(0.95)
  await gateway.close()
})
