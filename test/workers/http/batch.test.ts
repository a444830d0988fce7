/** Rows of several groups in one request to a server. */

import { describe, expect, it, onTestFinished } from 'vitest'
import type { HttpOptions } from '../../../src/workers/http/options'
import type { HttpWorker } from '../../../src/workers/http/worker'
import { errorReply, startWorker } from '../../shared/http-worker'
import { PretendServer, Reply } from '../../shared/simulated-server'
import { listOf } from '../../shared/vectors'

describe('rows of several groups in one request', () => {
  /** Takes `most` rows at a time, doubles them, and does with some what the test says. */
  const batching = async (most: number, options: Partial<HttpOptions> = {}, more?: object) => {
    const server = new PretendServer()
    server.metadata = { ...server.metadata, ...more }
    const sizes: number[] = []
    let special: (rows: number[][], id: string) => Reply | Promise<Reply> | undefined = () => undefined
    server.instead = ({ json }) => {
      if (!json) return undefined
      const [{ data, shape }] = json.inputs
      sizes.push(shape[0])
      if (shape[0] > most) return errorReply(400, `batch ${shape[0]} is above max_batch_size ${most}`)
      const rows = Array.from({ length: shape[0] }, (_, i) => data.slice(2 * i, 2 * i + 2))
      const answer = () => Reply.json({ id: json.id, outputs: [{ name: 'y', datatype: 'FP32', shape, data: data.map((x) => 2 * x) }] }) // biome-ignore format: one line
      return special(rows, json.id as string) ?? answer()
    }
    const { started, clock } = await startWorker(options, server)
    const worker = await started
    onTestFinished(() => worker.close())
    const found = sizes.splice(0)
    const ask = (rows: number[][], signals?: AbortSignal[]) => {
      const batch = (worker as HttpWorker).inferBatch(rows.map((row) => listOf(Float32Array.from(row))), { signals }) // biome-ignore format: one line
      return Promise.allSettled(batch.map(async (answer) => [...(await answer)[0].data]))
    }
    const say = (what: typeof special) => {
      special = what
    }
    return { worker: worker as HttpWorker, server, sizes, found, ask, say, clock }
  }
  const rows = [1, 2, 3, 4].map((x) => [x, 10 * x])
  const doubled = rows.map((row) => ({ status: 'fulfilled', value: row.map((x) => 2 * x) }))
  const failed = (code: string) => ({ status: 'rejected', reason: expect.objectContaining({ code }) })

  it('as many as the server answers, which its limit may be below', async () => {
    const { worker, found, ask, sizes } = await batching(5)
    expect([worker.maxBatch, found]).toEqual([4, [1, 16, 8, 4]])
    expect(await ask(rows)).toEqual(doubled)
    expect(sizes).toEqual([4])
    expect(await ask([...rows, [5, 50]])).toEqual(new Array(5).fill({ status: 'rejected', reason: expect.any(RangeError) })) // biome-ignore format: one line
  })

  it('none where the batch is fixed, where that is asked for, or where rows disturb each other', async () => {
    const fixed = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2] }] }
    expect((await batching(16, {}, fixed)).worker.maxBatch).toBe(1)
    expect((await batching(16, { maxBatch: 1 })).found).toEqual([1])
    const server = new PretendServer()
    server.instead = ({ json }) => {
      if (!json) return undefined
      const { data, shape } = json.inputs[0]
      const mean = data.reduce((sum, x) => sum + x, 0) / data.length
      return Reply.json({ outputs: [{ name: 'y', datatype: 'FP32', shape, data: data.map((x) => x - mean) }] })
    }
    const worker = await (await startWorker({}, server)).started
    onTestFinished(() => worker.close())
    expect((worker as HttpWorker).maxBatch).toBe(1)
  })

  it('one row’s null, other rubbish or error costs no other row its answer', async () => {
    const { worker, ask, say, sizes } = await batching(16)
    const bad = 2
    const others = doubled.map((outcome, i) => (i === bad ? failed('PROTOCOL') : outcome))
    const third = (given: unknown) =>
      say((rows, id) => {
        const data = rows.flatMap((row) => (row[0] === 3 ? [0, given] : row.map((x) => 2 * x)))
        return Reply.json({ id, outputs: [{ name: 'y', datatype: 'FP32', shape: [rows.length, 2], data }] })
      })
    for (const rubbish of [null, {}]) {
      third(rubbish)
      expect(await ask(rows)).toEqual(others)
    }
    say((rows) => (rows.some(([x]) => x === 3) ? errorReply(500, 'overflow') : undefined))
    expect(await ask(rows)).toEqual(others.map((outcome, i) => (i === bad ? failed('WORKER') : outcome)))
    expect(sizes).toEqual([4, 1, 1, 1, 1, 4, 1, 1, 1, 1, 4, 1, 1, 1, 1])
    expect(worker.free).toBe(true)
  })

  it('an abort of one costs no other its answer; of all, it ends the request', async () => {
    const { worker, server, ask, say, clock } = await batching(16)
    let answer = () => {}
    say((rows, id) => new Promise((resolve) => {
      answer = () => resolve(Reply.json({ id, outputs: [{ name: 'y', datatype: 'FP32', shape: [4, 2], data: rows.flat().map((x) => 2 * x) }] })) // biome-ignore format: one line
    })) // biome-ignore format: one line
    const aborts = rows.map(() => new AbortController())
    const signals = aborts.map(({ signal }) => signal)
    const some = ask(rows, signals)
    await clock.run(clock.now())
    expect(worker.free).toBe(false)
    aborts[1].abort()
    await clock.run(clock.now())
    answer()
    expect(await some).toEqual(doubled.map((outcome, i) => (i === 1 ? failed('ABORTED') : outcome)))
    const again = rows.map(() => new AbortController())
    const all = ask(rows, again.map(({ signal }) => signal)) // biome-ignore format: one line
    await clock.run(clock.now())
    const { signal } = server.asked[server.asked.length - 1]
    for (const abort of again) abort.abort()
    expect(await all).toEqual(rows.map(() => failed('ABORTED')))
    expect(signal.aborted).toBe(true)
  })

  it('a server that is gone fails all of them, once', async () => {
    const { worker, server, ask, sizes, clock } = await batching(16)
    const before = server.asked.length
    server.isGone = true
    expect(await ask(rows)).toEqual(rows.map(() => failed('OVERLOADED')))
    await clock.run(clock.now())
    expect([server.asked.length - before, sizes, worker.gone]).toEqual([2, [], true]) // all rows, and a look
  })
})
