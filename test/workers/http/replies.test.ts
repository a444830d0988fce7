/** Replies that are no answers. */

import { describe, expect, it } from 'vitest'
import { createPredictor } from '../../../src/predictor/create'
import type { PredictorOptions } from '../../../src/predictor/options'
import { verdicts } from '../../shared/heard-events'
import { readyWorker, row } from '../../shared/http-worker'
import { Reply } from '../../shared/simulated-server'
import { inferRow } from '../../shared/vectors'

it.each<Partial<PredictorOptions>>([
  {},
  { policy: 'auto', right: 'label' },
  { scheme: { queries: 1, byzantine: 1 }, memory: false },
])('null for a number is no answer: another server’s is given, and nobody lied (%j)', async (options) => {
  const all = await Promise.all([1, 2, 3, 4].map((i) => readyWorker({}, `http://s${i}:8000`)))
  const judged: unknown[] = []
  const workers = all.map(({ worker }) => worker)
  const onEvent = verdicts((verdict) => judged.push(verdict))
  const predictor = await createPredictor({ workers, onEvent, onWarning() {}, verify: { audit: 1 }, ...options })
  all[0].server.instead = ({ json }) =>
    Reply.json({ id: json?.id, outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 2], data: [null, 8] }] })
  for (let i = 0; i < 20; i++) expect([...(await predictor.predict(row)).output.y.data]).toEqual([6, 8])
  expect(judged).toEqual([])
  expect(predictor.stats().workers[0].rejected).toBeGreaterThan(0)
  await predictor.close()
})

describe('a reply that is none', () => {
  const y = { name: 'y', datatype: 'FP32', shape: [1, 2], data: [1, 2] }
  const replies: [string, (id: string) => Reply, RegExp][] = [
    ['no JSON', () => new Reply('<html>'), /JSON/],
    ['nothing', () => new Reply(''), /JSON/],
    ['an object for a number', () => Reply.json({ outputs: [{ ...y, data: [1, {}] }] }), /an object/],
    ['a number too large', () => new Reply('{"outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"data":[1,1e99]}]}'), /1e99|finite/], // biome-ignore format: one line
    ['null for a number', () => Reply.json({ outputs: [{ ...y, data: [null, 2] }] }), /got null at 0/],
    ['null in an array of arrays', () => Reply.json({ outputs: [{ ...y, data: [[1, null]] }] }), /got null at 1/],
    ['another name', () => Reply.json({ outputs: [{ ...y, name: 'z' }] }), /'y'/],
    ['another datatype', () => Reply.json({ outputs: [{ ...y, datatype: 'FP64' }] }), /FP32/],
    ['another count', () => Reply.json({ outputs: [{ ...y, shape: [1, 3], data: [1, 2, 3] }] }), /\[1,2\]/],
    ['two rows', () => Reply.json({ outputs: [{ ...y, shape: [2, 2], data: [1, 2, 3, 4] }] }), /\[1,2\]/],
    ['no outputs', () => Reply.json({ model_name: 'm' }), /outputs/],
    ['an array', () => Reply.json([]), /object/],
    ['another request’s', () => Reply.json({ id: 'other', outputs: [y] }), /another request/],
    ['longer than its model has values', () => new Reply(new Uint8Array(70_000)), /longer/],
    ['a header length beyond it', () => new Reply('{}', { headers: { 'inference-header-content-length': '99' } }), /Content-Length/], // biome-ignore format: one line
    ['compressed all the same', () => new Reply(Uint8Array.of(0x1f, 0x8b, 8, 0)), /UTF-8|JSON/],
  ]

  it.each(replies)('%s: PROTOCOL, and the next call is fine', async (_what, reply, message) => {
    const { worker, server } = await readyWorker()
    server.instead = ({ json }) => reply(json?.id as string)
    await expect(inferRow(worker, row)).rejects.toMatchObject({
      code: 'PROTOCOL',
      message: expect.stringMatching(message),
    })
    server.instead = undefined
    expect([...(await inferRow(worker, row))]).toEqual([6, 8])
  })

  it('no two calls have one id, of whatever clients: a broken proxy mixes up replies, and the other’s would be believed', async () => {
    const ids: string[] = []
    for (const { worker, server } of [await readyWorker(), await readyWorker()]) {
      server.instead = ({ json }) => {
        ids.push(json?.id as string)
        return Reply.json({ id: json?.id, outputs: [y] })
      }
      for (let call = 0; call < 3; call++) await inferRow(worker, row)
    }
    expect([ids.length, new Set(ids).size]).toEqual([6, 6])
  })

  it('takes [1, 2, 1] for [1, 2], and outputs that nobody asked for', async () => {
    const { worker, server } = await readyWorker()
    server.instead = () => Reply.json({ id: null, parameters: null, outputs: [{ name: 'n', datatype: 'INT64', shape: [1], data: [7] }, { ...y, shape: [1, 2, 1], parameters: null }] }) // biome-ignore format: one line
    expect([...(await inferRow(worker, row))]).toEqual([1, 2])
  })
})
