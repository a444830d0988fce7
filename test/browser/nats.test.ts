import { wsconnect } from '@nats-io/nats-core'
import { createPredictor, localWorkers } from 'approxifer'
import { natsWorkers, serveNats } from 'approxifer/nats'
import { describe, expect, inject, it } from 'vitest'
import { ask } from '../shared/worker-contract'

const createWorker = () => new Worker(new URL('../fixtures/web-worker.js', import.meta.url), { type: 'module' })
const servers = inject('nats') as string

describe.skipIf(!servers)('a browser tab in a fleet, over WebSocket', () => {
  it('its Web Workers answer a predictor, and drain', async () => {
    const workers = await localWorkers({ model: Uint8Array.of(1), workers: 3, createWorker, onWarning: () => {} })
    const service = await serveNats(await wsconnect({ servers }), { fleet: 'tabs', workers })
    expect(service.names.every((name) => name.startsWith('browser-'))).toBe(true)
    const connection = await wsconnect({ servers })
    const predictor = await createPredictor({
      scheme: { queries: 2, stragglers: 1 },
      workers: natsWorkers(connection, { fleet: 'tabs' }),
    })
    const answers = await predictor.predictAll(Array.from({ length: 20 }, (_, x) => ask('answer', x)))
    answers.forEach(({ output }, x) => expect([...output.y.data]).toEqual([x + 1, 2 * x]))
    await service.drain()
    await expect(predictor.predict(ask('answer', 1))).rejects.toMatchObject({ code: 'WORKER' })
    await predictor.close()
    await connection.close()
  })

  it('with a URL in place of a connection it is said what to do', async () => {
    await expect(natsWorkers(servers, { fleet: 'tabs' }).next()).rejects.toMatchObject({
      code: 'WORKER',
      message: expect.stringContaining('await wsconnect({ servers })'),
    })
  })
})
