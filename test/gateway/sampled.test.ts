/** Answers that are sampled, over the gateway: its client knows by which id each may be recalled. */

import type { Principal } from 'approxifer/gateway'
import { describe, expect, it, vi } from 'vitest'
import { Recalls } from '../../src/gateway/recalls'
import { HandWorker, turn } from '../shared/hand-predictor'
import { recalls } from '../shared/heard-events'
import { answerOf, inputOf, model, post, request, started } from '../shared/started-gateway'

it('a reply has an id for each row that may be recalled, and none where all are exact', async () => {
  const doubles = (name: string, factor: number) => Object.assign(new HandWorker(name), { factor, trusted: factor === 2 }) // biome-ignore format: one line
  const workers = [doubles('w0', 2), doubles('w1', -3)]
  const onRecall = vi.fn()
  const { gateway } = await started({}, { m: model(workers as never, { verify: { mode: 'sampled', rate: 1 }, onEvent: recalls(onRecall) }) }) // biome-ignore format: one line
  const serve = async () => {
    for (let open = true; open; await turn()) {
      open = workers.some(({ calls }) => calls.length)
      for (const { calls, factor } of workers) calls[0]?.answer(calls[0].row.map((x) => factor * x))
    }
  }
  const ask = async (rows: number) => {
    const answer = answerOf(
      gateway,
      post(
        inputOf(
          rows,
          Array.from({ length: 2 * rows }, (_, i) => i + 1),
        ),
      ),
    )
    for (let i = 0; i < 5; i++) await turn()
    await serve()
    return (await answer).json.parameters
  }
  const { status, recall_id } = await ask(2)
  expect([...status].sort()).toEqual(['audited', 'exact'])
  expect(recall_id.map((id: number | null) => id !== null)).toEqual(status.map((each: string) => each === 'audited'))
  expect(onRecall.mock.calls).toEqual([
    [expect.objectContaining({ worker: 'w1', identity: 'w1', ids: recall_id.filter(Boolean) })],
  ])
  expect(await ask(2)).not.toHaveProperty('recall_id')
})

describe('recalls', () => {
  it('are asked for by their tenant: each sees its own ids, also when another version has taken over', async () => {
    const all = () => [Object.assign(new HandWorker('w0'), { trusted: true }), new HandWorker('w1')]
    const [workers, later] = [all(), all()]
    const [onRecall, limits, verify] = [vi.fn(), { tenants: 3 }, { mode: 'sampled', rate: 1 }]
    const { gateway } = await started(
      {},
      { m: model(workers as never, { verify, onEvent: recalls(onRecall), limits }) },
    )
    const lied: Record<string, number[]> = { a: [], b: [] }
    const ask = (tenant: string) => {
      const body = { ...inputOf(2, [1, 2, 3, 4]), parameters: { tenant } }
      return answerOf(gateway, post(body))
    }
    const given = [ask('a'), ask('b')]
    for (let i = 0; i < 9; i++) await turn()
    workers[1].calls[0].answer(Float32Array.of(9, -9))
    await turn()
    workers[1].calls[0].answer(Float32Array.of(9, -9)) // meanwhile the anchor is at work
    await turn()
    const before = await recallsOf(gateway, 'a')
    expect([before.ids, before.more]).toEqual([[], false])
    for (let open = true; open; await turn()) {
      open = workers.some(({ calls }) => calls.length)
      workers[0].calls[0]?.answer()
      workers[1].calls[0]?.answer(Float32Array.of(9, -9))
    }
    for (const [i, tenant] of ['a', 'b'].entries()) {
      const { recall_id = [] } = (await given[i]).json.parameters
      lied[tenant].push(...recall_id.filter(Boolean))
    }
    await gateway.load('m', model(later as never, { verify, limits }))
    const [a, b] = [await recallsOf(gateway, 'a'), await recallsOf(gateway, 'b')]
    expect(lied.a.length * lied.b.length).toBeGreaterThan(0)
    expect([a.ids, b.ids]).toEqual([lied.a, lied.b])
    expect(onRecall.mock.calls.map(([{ tenant, ids }]) => [tenant, ids])).toEqual(Object.entries(lied))
    expect(await recallsOf(gateway, 'a', { query: `?since=${a.until}` })).toMatchObject({ ids: [], more: false })
    expect((await recallsOf(gateway, 'a', { query: `?since=${before.until}` })).ids).toEqual(lied.a)
    const said = { query: '?tenant=b', principal: {} }
    expect((await recallsOf(gateway, 'a', said)).ids).toEqual(lied.b) // who may name a tenant
    await gateway.close()
  })

  it('of another tenant, of a model that its token may not ask, since no time, and where nothing is sampled are refused', async () => {
    const verify = { mode: 'sampled' }
    const workers = [Object.assign(new HandWorker('w0'), { trusted: true })]
    const { gateway } = await started({}, { m: model(workers as never, { verify }), plain: model() })
    const refused = async (path: string, principal?: Principal) => {
      const response = await gateway(request(path), principal)
      return [response.status, (await response.json()).error]
    }
    const path = '/v2/models/m/recalls'
    expect(await refused(`${path}?tenant=b`, { tenant: 'a' })).toEqual([403, `parameters.tenant: expected 'a', got "b"`]) // biome-ignore format: one line
    expect((await refused(path, { models: ['plain'] }))[0]).toBe(403)
    expect(await refused(`${path}?since=soon`)).toEqual([400, 'since: expected a time, such as 2030-01-31T12:00:00.000Z, got "soon"']) // biome-ignore format: one line
    expect((await refused(`${path}?sinse=1`))[0]).toBe(400)
    expect((await refused('/v2/models/none/recalls'))[0]).toBe(404)
    expect(await refused('/v2/models/plain/recalls')).toEqual([404, expect.stringContaining("verify.mode 'sampled'")])
    await gateway.close()
  })

  it('are listened to beside the model’s own listener, which has to be one, and may throw', async () => {
    const verify = { mode: 'sampled', rate: 1 }
    const [own, liar] = [Object.assign(new HandWorker('w0'), { trusted: true }), new HandWorker('w1')]
    await expect(started({}, { m: model([own] as never, { verify, onEvent: 'log' }) })).rejects.toThrow(/^onEvent: expected a function/) // biome-ignore format: one line
    const onEvent = recalls(() => {
      throw new Error('no!')
    })
    const { gateway } = await started({}, { m: model([own, liar] as never, { verify, onEvent, onWarning() {} }) })
    const given = answerOf(gateway, post(inputOf(2)))
    for (let i = 0; i < 9; i++) await turn()
    liar.calls[0].answer(Float32Array.of(9, -9))
    for (let i = 0; i < 9; i++) {
      own.calls[0]?.answer()
      await turn()
    }
    const { recall_id } = (await given).json.parameters
    expect((await recallsOf(gateway, '')).ids).toEqual(recall_id.filter(Boolean))
    await gateway.close()
  })

  it('are kept as long as there are a million of them', () => {
    const recalls = new Recalls(() => Date.parse('2030-01-01'))
    recalls.add({ tenant: 'a', ids: [1] })
    const others = Array.from({ length: 999_999 }, (_, i) => i)
    recalls.add({ ids: others })
    expect(recalls.read('a').ids).toEqual([1])
    recalls.add({ ids: [1] })
    expect(recalls.read('a').ids).toEqual([])
  })

  it('are kept up to a bound and told in pieces, of which none is told twice or left out; what was forgotten is said', () => {
    let now = Date.parse('2030-01-01')
    const recalls = new Recalls(() => now)
    const ids = Array.from({ length: 25_000 }, (_, i) => i)
    recalls.add({ ids })
    recalls.add({ tenant: 'b', ids: [7] })
    const all: number[] = []
    let told = recalls.read('')
    for (; told.ids.length; told = recalls.read('', told.until)) {
      expect(told.ids.length).toBeLessThanOrEqual(10_000)
      all.push(...told.ids)
      expect(told.more).toBe(all.length < ids.length)
    }
    expect(all).toEqual(ids)
    expect([recalls.read('b').ids, told.from]).toEqual([[7], new Date(now).toISOString()])
    now += 1000
    for (let i = 0; i < 70_000; i++) recalls.add({ ids: [i] })
    const last = recalls.read('')
    expect(last.ids[0]).toBe(70_000 - 65_536)
    expect(Date.parse(last.from)).toBeGreaterThan(now)
    recalls.add({ tenant: 'b', ids: Array(1e6).fill(1) })
    expect(recalls.read('').ids).toEqual([])
  })
})

async function recallsOf(
  gateway: Awaited<ReturnType<typeof started>>['gateway'],
  tenant: string,
  { query = '', principal = { tenant } as Principal } = {},
) {
  const response = await gateway(request(`/v2/models/m/recalls${query}`), principal)
  expect(response.status).toBe(200)
  return (await response.json()) as { ids: number[]; from: string; until: string; more: boolean }
}
