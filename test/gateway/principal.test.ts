import type { Principal } from 'approxifer/gateway'
import { describe, expect, it } from 'vitest'
import { permitted } from '../../src/gateway/principal'
import { inputOf, model, post, request, started, workersOf } from '../shared/started-gateway'

describe('who asks, where that is said', () => {
  const ask = async (principal: Principal | undefined, parameters: object = {}, name = 'm') => {
    const { gateway, events } = await started({}, { m: model(workersOf(2), { limits: { tenants: 3 } }), n: model() })
    const answer = await gateway(post({ ...inputOf(2), parameters }, {}, `/v2/models/${name}/infer`), principal)
    const { error } = await answer.json()
    const { tenants } = gateway.predictor('m')
    await gateway.close()
    return { status: answer.status, error, tenants, event: events[0] }
  }

  it('has its queries, and names no other', async () => {
    expect(await ask({ tenant: 'a' })).toMatchObject({ status: 200, tenants: ['', 'a'] })
    expect(await ask({ tenant: 'a' }, { tenant: 'a' })).toMatchObject({ status: 200, tenants: ['', 'a'] })
    const error = 'parameters.tenant: expected \'a\', got "b"'
    expect(await ask({ tenant: 'a' }, { tenant: 'b' })).toMatchObject({ status: 403, error, tenants: [] })
    expect(await ask({ tenant: '' }, { tenant: 'b' })).toMatchObject({ status: 403, tenants: [] })
    for (const principal of [undefined, {}]) {
      expect(await ask(principal, { tenant: 'b' })).toMatchObject({ status: 200, tenants: ['', 'b'] })
    }
  })

  it('asks no other models, and is told of how many queries came', async () => {
    const told: number[] = []
    const principal = { name: 'shop', models: ['n'], onQueries: (queries: number) => told.push(queries) }
    const refused = await ask(principal)
    expect(refused).toMatchObject({ status: 403, error: expect.stringMatching(/^the model: expected one of n, /) })
    expect([refused.event.principal, told]).toEqual([principal, []])
    expect((await ask(principal, {}, 'n')).status).toBe(200)
    expect(told).toEqual([2])
  })

  it('has the weight that it is given, and a request none of its own', async () => {
    expect(permitted({ tenant: 'a' }, { tenant: 'a', weight: 3 })).toEqual({ tenant: 'a', weight: 3 })
    expect(await ask({ tenant: 'a', weight: 3 })).toMatchObject({ status: 200 })
    const error = expect.stringMatching(
      /^weight: expected an integer from 1 to 1000, got 0.5$|^parameters\.weight: expected/,
    )
    expect(await ask({ tenant: 'a', weight: 0.5 })).toMatchObject({ status: 400, error })
    expect(await ask({ tenant: 'a' }, { wieght: 3, weight: 3 })).toMatchObject({ status: 200 }) // it is no parameter
  })

  it('has the priority of its token where the request says none, and a lower one where it asks for that', () => {
    expect(permitted({}, { priority: 'low' })).toEqual({ priority: 'low' })
    expect(permitted({ priority: 'low' }, { priority: 'normal' })).toEqual({ priority: 'low' })
    expect(permitted({}, {})).toEqual({})
  })

  it('has no metadata of others either', async () => {
    const { gateway } = await started({}, { m: model(), n: model() })
    const status = async (path: string) => (await gateway(request(path), { models: ['n'] })).status
    expect([await status('/v2/models/m'), await status('/v2/models/m/ready'), await status('/v2/models/n')]).toEqual([403, 403, 200]) // biome-ignore format: one line
    await gateway.close()
  })

  it.each([
    ['normal', {}, 200],
    ['normal', { priority: 'low' }, 200],
    ['normal', { priority: 'high' }, 403],
    ['low', { priority: 2 }, 403],
    ['high', { priority: 'high' }, 200],
    ['normal', { priority: 'soon' }, 400],
  ] as const)('of priority %s at most: %o is answered %i', async (priority, parameters, status) => {
    expect((await ask({ priority }, parameters)).status).toBe(status)
  })
})
