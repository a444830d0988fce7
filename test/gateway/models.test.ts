import { createPredictor } from 'approxifer'
import { createGateway, type GatewayModel } from 'approxifer/gateway'
import { describe, expect, it } from 'vitest'
import { HandWorker, turn } from '../shared/hand-predictor'
import { answerOf, hang, inputOf, model, post, refusal, request, started, workersOf } from '../shared/started-gateway'

describe('loading and unloading', () => {
  it('is not ready until every model is, and says why', async () => {
    const gateway = createGateway({ models: { m: model(), bad: { model: 'nowhere.onnx' } }, onWarning: () => {} })
    const early = await answerOf(gateway, request('/v2/health/ready'))
    expect([early.status, early.json.ready, early.headers.get('retry-after')]).toEqual([503, false, '1'])
    expect((await refusal(gateway, post(inputOf(1), {}, '/v2/models/bad/infer')))[0]).toBe(503) // 'm' may be ready by now
    await expect(gateway.ready()).rejects.toThrow(/nowhere.onnx/)
    expect((await answerOf(gateway, request('/v2/models/m/ready'))).status).toBe(200)
    const bad = await answerOf(gateway, request('/v2/models/bad/ready'))
    expect(bad).toMatchObject({
      status: 503,
      json: { name: 'bad', ready: false, error: expect.stringContaining('nowhere.onnx') },
    })
    expect((await answerOf(gateway, request('/v2/health/ready'))).json.error).toContain("model 'bad'")
    await gateway.unload('bad')
    expect((await answerOf(gateway, request('/v2/health/ready'))).status).toBe(200)
    await gateway.close()
  })

  it('is not ready while no worker can be reached, and is again with the first one', async () => {
    const workers = [new HandWorker('w0'), new HandWorker('w1')]
    const { gateway, events } = await started({}, { m: model(workers), other: model(workersOf(1)) })
    const reach = (...there: boolean[]) =>
      workers.forEach((worker, i) => {
        Object.assign(worker, { gone: !there[i], capacity: Number(there[i]) })
        worker.onFree?.()
      })
    const readiness = async () => {
      const paths = ['/v2/health/ready', '/v2/models/m/ready', '/v2/models/other/ready', '/v2/health/live']
      return Promise.all(paths.map(async (path) => (await gateway(request(path))).status))
    }
    for (const there of [
      [true, true],
      [false, true],
      [true, false],
    ]) {
      // biome-ignore format: one line
      reach(...there)
      expect(await readiness()).toEqual([200, 200, 200, 200])
    }
    reach(false, false)
    expect(await readiness()).toEqual([503, 503, 200, 200])
    const why = 'no worker may take a query: 2 of 2 cannot be reached, or have another model, for now'
    const [server, one] = [await answerOf(gateway, request('/v2/health/ready')), await answerOf(gateway, request('/v2/models/m/ready'))] // biome-ignore format: one line
    expect([server.json, server.headers.get('retry-after')]).toEqual([
      { ready: false, error: `model 'm': ${why}` },
      '1',
    ])
    expect(one.json).toEqual({ name: 'm', ready: false, error: `model 'm' is not ready: ${why}` })
    expect(events.at(-1)).toMatchObject({ route: 'health', status: 503, error: one.json.error })
    reach(false, true)
    expect(await readiness()).toEqual([200, 200, 200, 200])
    await gateway.close()
  })

  it('stays ready while a worker of its own is restarted, and the only one, too', async () => {
    const worker = new HandWorker('w0')
    const { gateway } = await started({}, { m: model([worker]) })
    worker.capacity = 0
    worker.onFree?.()
    expect((await gateway(request('/v2/health/ready'))).status).toBe(200)
    await gateway.close()
  })

  it('a new version serves while requests under way end with the old one', async () => {
    const old = workersOf(1, hang)
    const { gateway } = await started({}, { m: model(old) })
    const under = answerOf(gateway, post(inputOf(1)))
    while (!old[0].calls.length) await turn()
    await gateway.load('m', { ...model(workersOf(1)), version: '2' } as GatewayModel)
    expect((await answerOf(gateway, post(inputOf(1)))).json.model_version).toBe('2')
    expect((await answerOf(gateway, request('/v2/models/m/versions/1'))).status).toBe(404)
    expect(old[0].closed).toBe(0)
    old[0].calls[0].answer()
    expect(await under).toMatchObject({ status: 200, json: { model_version: '1' } })
    while (!old[0].closed) await turn()
    await gateway.close()
  })

  it('a new version that does not start leaves the old one', async () => {
    const { gateway } = await started()
    await expect(gateway.load('m', { model: 'nowhere.onnx' })).rejects.toThrow(/nowhere/)
    expect(await answerOf(gateway, post(inputOf(1)))).toMatchObject({ status: 200, json: { model_version: '1' } })
    expect((await answerOf(gateway, request('/v2/health/ready'))).status).toBe(200)
    await gateway.close()
  })

  it('unload ends what is under way first; unknown names are told', async () => {
    const workers = workersOf(1, hang)
    const { gateway } = await started({}, { m: model(workers) })
    const under = answerOf(gateway, post(inputOf(1)))
    while (!workers[0].calls.length) await turn()
    const unloaded = gateway.unload('m')
    expect((await refusal(gateway, post(inputOf(1))))[0]).toBe(404)
    workers[0].calls[0].answer()
    expect((await under).status).toBe(200)
    await unloaded
    expect(workers[0].closed).toBe(1)
    expect(gateway.names).toEqual([])
    await expect(gateway.unload('m')).rejects.toThrow(/name: expected/)
    expect(() => gateway.predictor('m')).toThrow(/the model: expected none at all/)
    await gateway.close()
  })

  it('unload waits for what is under way with a version that was replaced before', async () => {
    const old = workersOf(1, hang)
    const { gateway } = await started({}, { m: model(old) })
    const under = answerOf(gateway, post(inputOf(1)))
    while (!old[0].calls.length) await turn()
    await gateway.load('m', model())
    let unloaded = false
    const unloading = gateway.unload('m').then(() => (unloaded = true))
    for (let i = 0; i < 10; i++) await turn()
    expect(unloaded).toBe(false)
    old[0].calls[0].answer()
    expect((await under).status).toBe(200)
    await unloading
    expect(old[0].closed).toBe(1)
    await gateway.close()
  })

  it('close ends what is under way with a model that is being saved, since it is unloaded', async () => {
    const workers = workersOf(1, hang)
    let written = () => {}
    const write = () => new Promise<void>((resolve) => { written = resolve }) // biome-ignore format: one line
    const { gateway } = await started({ store: { read: async () => undefined, write } }, { m: model(workers) })
    const under = answerOf(gateway, post(inputOf(1)))
    while (!workers[0].calls.length) await turn()
    const unloading = gateway.unload('m')
    await turn()
    await gateway.close()
    expect((await under).status).toBe(503)
    written()
    await unloading
    expect(workers[0].closed).toBe(1)
  })

  it('drain takes no more, and waits for those under way; close settles all, twice', async () => {
    const workers = workersOf(1, hang)
    const { gateway } = await started({}, { m: model(workers) })
    const under = answerOf(gateway, post(inputOf(1)))
    while (!workers[0].calls.length) await turn()
    let drained = false
    const draining = gateway.drain().then(() => (drained = true))
    expect(await refusal(gateway, post(inputOf(1)))).toEqual([503, 'the server is shutting down'])
    expect((await answerOf(gateway, request('/v2/health/ready'))).status).toBe(503)
    expect((await answerOf(gateway, request('/v2/health/live'))).status).toBe(200)
    expect(drained).toBe(false)
    workers[0].calls[0].answer()
    expect((await under).status).toBe(200)
    await draining
    await Promise.all([gateway.close(), gateway.close()])
    expect(workers[0].closed).toBe(1)
    await expect(gateway.load('n', model())).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('close ends what is under way with 503', async () => {
    const workers = workersOf(1, hang)
    const { gateway } = await started({}, { m: model(workers) })
    const under = answerOf(gateway, post(inputOf(1)))
    while (!workers[0].calls.length) await turn()
    await gateway.close()
    expect((await under).status).toBe(503)
  })

  it('close ends what is under way with a version that was replaced, too', async () => {
    const [old, unloaded] = [workersOf(1, hang), workersOf(1, hang)]
    const { gateway } = await started({}, { m: model(old), n: model(unloaded) })
    const under = ['m', 'n'].map((name) => answerOf(gateway, post(inputOf(1), {}, `/v2/models/${name}/infer`)))
    while (!old[0].calls.length || !unloaded[0].calls.length) await turn()
    await gateway.load('m', model())
    const unloading = gateway.unload('n')
    await turn()
    await gateway.close()
    expect((await Promise.all(under)).map(({ status }) => status)).toEqual([503, 503])
    await unloading
    expect([old[0].closed, unloaded[0].closed]).toEqual([1, 1])
  })

  it.each(['close', 'unload'] as const)(
    '%s does not wait for a load that never ends, nor keep what comes of it',
    async (end) => {
      const { gateway } = await started({}, { m: model() })
      const [late] = workersOf(1)
      let arrive: (change: { add: HandWorker }) => void = () => {}
      const arrival = new Promise<{ add: HandWorker }>((resolve) => {
        arrive = resolve
      })
      const changes = (async function* () {
        yield await arrival
      })()
      const loading = gateway.load('n', { workers: changes })
      await turn()
      const ending = end === 'close' ? gateway.close() : gateway.unload('n')
      await expect(loading).rejects.toMatchObject({ code: 'CLOSED' })
      await ending
      arrive({ add: late })
      await expect.poll(() => late.closed).toBe(1)
      await gateway.close()
    },
  )

  it('a ready predictor is served as it is', async () => {
    const predictor = await createPredictor({ workers: workersOf(1) })
    const { gateway } = await started({}, { m: predictor })
    expect(gateway.predictor('m')).toBe(predictor)
    expect((await gateway(post(inputOf(1)))).status).toBe(200)
    await gateway.close()
    await expect(predictor.predict(Float32Array.of(1, 2))).rejects.toMatchObject({ code: 'CLOSED' })
  })
})
