import { localWorkers } from 'approxifer'
import { FaultyWorker } from 'approxifer/testing'
import { describe, expect, it, vi } from 'vitest'
import { contract } from '../shared/worker-contract'

const createWorker = () => new Worker(new URL('../fixtures/web-worker.js', import.meta.url), { type: 'module' })
const start = async () => (await localWorkers({ model: Uint8Array.of(1), workers: 1, createWorker }))[0]

// A worker that closes itself or runs out of memory tells nobody in a browser: there a hang is what is seen.
contract('Web Workers', { start, deaths: ['dies'] })
contract('Web Workers behind FaultyWorker', {
  start: async () => new FaultyWorker(await start(), {}, 1),
  deaths: ['dies'],
})

describe('starting', () => {
  it('a worker whose model is bad is not restarted', async () => {
    const create = vi.fn(createWorker)
    const bad = localWorkers({ model: Uint8Array.of(0), workers: 2, createWorker: create })
    await expect(bad).rejects.toMatchObject({ code: 'MODEL', message: 'a bad model' })
    expect(create).toHaveBeenCalledTimes(1)
  })

  it('a script that does not load is an error, not a hang', async () => {
    const missing = () => new Worker(URL.createObjectURL(new Blob(['syntax error here'])))
    const none = localWorkers({ model: Uint8Array.of(1), workers: 1, createWorker: missing })
    await expect(none).rejects.toMatchObject({ code: 'WORKER', message: expect.stringContaining('createWorker') })
  })

  it('one that is not there, or is a page: what to do, at once', async () => {
    for (const url of ['/no/such/worker.js', URL.createObjectURL(new Blob(['<p>'], { type: 'text/html' }))]) {
      const create = () => new Worker(url, { type: 'module' })
      const none = localWorkers({ model: Uint8Array.of(1), workers: 1, createWorker: create })
      await expect(none).rejects.toMatchObject({ code: 'WORKER', message: expect.stringContaining('createWorker') })
    }
  })

  it('one that was bundled to nothing: what to do, when startMs is over', async () => {
    const empty = () => new Worker(URL.createObjectURL(new Blob([''], { type: 'text/javascript' })), { type: 'module' })
    const none = localWorkers({ model: Uint8Array.of(1), workers: 1, createWorker: empty, startMs: 100 })
    await expect(none).rejects.toMatchObject({ code: 'WORKER', message: expect.stringContaining('createWorker') })
  })

  it('a model that is not there', async () => {
    const none = localWorkers({ model: '/no/such/model.onnx', workers: 1 })
    await expect(none).rejects.toMatchObject({ code: 'MODEL' })
  })
})
