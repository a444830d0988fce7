/** A server that comes to have another model than it had. */

import { describe, expect, it } from 'vitest'
import type { HttpOptions } from '../../../src/workers/http/options'
import { readyWorker, row } from '../../shared/http-worker'
import type { PretendServer } from '../../shared/simulated-server'
import { inferRow } from '../../shared/vectors'

describe('a server that was rolled to another model', () => {
  const found = async (options: Partial<HttpOptions>, change: (server: PretendServer) => void) => {
    const { worker, server, clock, warnings } = await readyWorker(options)
    change(server)
    await clock.run(clock.now() + 31_000 + 3000)
    return { worker, server, clock, warnings }
  }

  it('gets no rows, by its answer to the probe query; and rows again when it answers as before', async () => {
    const { worker, server, clock, warnings } = await found({}, (server) => {
      server.factor = 2.1
    })
    expect([worker.free, worker.gone]).toEqual([false, true])
    expect(warnings).toEqual([
      expect.stringMatching(/^there:8000 has another model \(its answer .*\): it gets no rows/),
    ])
    server.factor = 2.00001 // another machine, the same model
    await clock.run(clock.now() + 11_000)
    expect(worker.free).toBe(true)
  })

  it('or by its metadata', async () => {
    const { worker, warnings } = await found({}, (server) => {
      server.metadata = { ...server.metadata, inputs: [{ name: 'z', datatype: 'FP32', shape: [-1, 2] }] }
    })
    expect([worker.free, warnings.length]).toEqual([false, 1])
    expect(warnings[0]).toContain('its metadata differ')
  })

  it('is let be where its answers differ and it need not answer the same', async () => {
    const { worker, warnings } = await found({ probe: false }, (server) => {
      server.factor = 5
    })
    expect([worker.free, warnings]).toEqual([true, []])
  })

  it('is found out by the version in a reply, before that answer counts', async () => {
    const { worker, server, clock } = await readyWorker()
    server.version = '2'
    server.factor = 5
    await expect(inferRow(worker, row)).rejects.toMatchObject({ code: 'WORKER', message: expect.stringContaining("version '2'") }) // biome-ignore format: one line
    expect(worker.free).toBe(false)
    await clock.run(clock.now() + 1)
    expect(worker.gone).toBe(true)
  })

  it('a new version of the same model goes on', async () => {
    const { worker, server, clock } = await readyWorker()
    server.version = '2'
    await expect(inferRow(worker, row)).rejects.toMatchObject({ code: 'WORKER' })
    await clock.run(clock.now() + 1)
    expect([...(await inferRow(worker, row))]).toEqual([6, 8])
  })

  it('is asked under load, too: between two rows', async () => {
    const { worker, server, clock, warnings } = await readyWorker()
    server.factor = 5
    let wrong = 0
    for (let ms = 0; ms < 40_000 && !worker.gone; ms += 10) {
      if (worker.free) {
        const answering = inferRow(worker, row)
        await clock.run(clock.now() + 10)
        await answering.then(() => wrong++, () => {}) // biome-ignore format: one line
      } else await clock.run(clock.now() + 10)
    }
    expect([worker.gone, warnings.length]).toEqual([true, 1])
    expect(wrong).toBeLessThan(3400) // those of 30 s and a health interval
  })
})
