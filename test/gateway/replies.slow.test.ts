/** What a gateway holds of replies, and for how long. */

import { gunzipSync } from 'node:zlib'
import { VirtualClock } from 'approxifer/testing'
import { describe, expect, it } from 'vitest'
import { HEADER_LENGTH } from '../../src/oip/write'
import { turn } from '../shared/hand-predictor'
import { answerOf, inputOf, model, post, refusal, started, workersOf } from '../shared/started-gateway'

const ROWS = 10_000
const zeros = (rows: number) => JSON.stringify(inputOf(rows, new Array(2 * rows).fill(0)))
const large = zeros(ROWS)
/** Of the values of its queries and answers 8 bytes a row each, and what a row takes beside them. */
const BYTES = (16 + 2048) * ROWS
const limits = { maxBytes: 100_000 }

describe('a large reply', () => {
  it('is written as it is read: JSON, packed and raw', async () => {
    const { gateway } = await started()
    const plain = await gateway(post(inputOf(ROWS)))
    expect([plain.status, plain.headers.get('content-length')]).toEqual([200, null])
    const [{ shape, data }] = (await plain.json()).outputs
    expect([shape, data]).toEqual([[ROWS, 2], Array.from({ length: 2 * ROWS }, (_, i) => 2 * i)])
    const packed = await gateway(post(inputOf(ROWS), { 'accept-encoding': 'gzip' }))
    expect(packed.headers.get('content-encoding')).toBe('gzip')
    const text = gunzipSync(new Uint8Array(await packed.arrayBuffer())).toString()
    expect(JSON.parse(text).outputs[0].data).toEqual(data)
    const raw = await gateway(post({ ...inputOf(ROWS), parameters: { binary_data_output: true } }))
    const bytes = new Uint8Array(await raw.arrayBuffer())
    expect(raw.headers.get('content-length')).toBe(String(bytes.length))
    const values = bytes.slice(Number(raw.headers.get(HEADER_LENGTH)))
    expect([...new Float32Array(values.buffer)]).toEqual(data)
    await gateway.close()
  })

  it('that never has room is 413, before anything is computed', async () => {
    const workers = workersOf(1)
    let asked = 0
    const { infer } = workers[0]
    workers[0].infer = (...query) => {
      asked++
      return infer(...query)
    }
    const { gateway } = await started({ ...limits, maxTotalBytes: BYTES - 1 }, { m: model(workers) })
    const sentence = `a request and its answers: expected at most ${BYTES - 1} bytes together, got more; ask for fewer rows at a time`
    expect([await refusal(gateway, post(large)), asked]).toEqual([[413, sentence], 0])
    expect((await answerOf(gateway, post(zeros(1000)))).status).toBe(200)
    await gateway.close()
  })

  it.each<[string, (reply: Response, clock: VirtualClock, leave: AbortController) => unknown]>([
    ['it is read', (reply) => reply.arrayBuffer()],
    ['nobody wants it any more', (reply) => reply.body?.cancel()],
    ['its client is gone', (_, __, leave) => leave.abort()],
    ['nothing of it was read for 30 s', (_, clock) => clock.run(clock.now() + 30_000)],
  ])('has its room until %s', async (_, free) => {
    const clock = new VirtualClock()
    const { gateway } = await started({ ...limits, clock, maxTotalBytes: 1.5 * BYTES }, { m: model(undefined, { testing: { clock } }) }) // biome-ignore format: one line
    const leave = new AbortController()
    const reply = await gateway(post(large, {}, undefined, leave.signal))
    expect((await refusal(gateway, post(large)))[0]).toBe(429)
    await free(reply, clock, leave)
    expect((await gateway(post(large))).status).toBe(200)
    await gateway.close()
  })

  it('read by the drop is cut off, one that is read at a fair rate is not', async () => {
    const read = async (everyMs: number) => {
      const clock = new VirtualClock()
      const { gateway } = await started({ clock, maxRows: 10 * ROWS }, { m: model(undefined, { testing: { clock } }) })
      const { body } = await gateway(post(zeros(10 * ROWS)))
      const reader = (body as ReadableStream<Uint8Array>).getReader()
      let bytes = 0
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return bytes
        bytes += value.length
        await clock.run(clock.now() + everyMs)
        await turn()
      }
    }
    expect(await read(500)).toBeGreaterThan(400_000)
    await expect(read(10_000)).rejects.toThrow('the reply was not read')
  })
})
