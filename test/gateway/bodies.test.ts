import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { ByteBudget, SMALL, tellClient } from '../../src/gateway/body'
import { turn } from '../shared/hand-predictor'
import { answerOf, hang, inputOf, model, post, refusal, request, started, workersOf } from '../shared/started-gateway'

describe('bodies', () => {
  const rows = JSON.stringify(inputOf(100))

  it('gzip and deflate are unpacked, other codings are 415, damaged ones 400', async () => {
    const { gateway } = await started()
    expect((await gateway(post(gzipSync(rows), { 'content-encoding': 'gzip' }))).status).toBe(200)
    expect((await gateway(post(gzipSync(rows), { 'content-encoding': 'X-GZIP' }))).status).toBe(200)
    expect((await gateway(post(rows, { 'content-encoding': 'identity' }))).status).toBe(200)
    for (const coding of ['br', 'gzip, gzip', 'zstd', '__proto__']) {
      const { status, headers } = await answerOf(gateway, post(rows, { 'content-encoding': coding }))
      expect([coding, status, headers.get('accept-encoding')]).toEqual([coding, 415, 'gzip, deflate'])
    }
    const damaged = [
      Buffer.from(rows),
      gzipSync(rows).subarray(0, -9),
      Buffer.concat([gzipSync(rows), Buffer.from('x')]),
      Buffer.alloc(0),
    ]
    for (const body of damaged) {
      expect((await refusal(gateway, post(body, { 'content-encoding': 'gzip' })))[0]).toBe(400)
      expect((await refusal(gateway, post(body, { 'content-encoding': 'deflate' })))[0]).toBe(400)
    }
    await gateway.close()
  })

  it('too large is 413: as announced, as it comes, and a bomb as it unpacks', async () => {
    const { gateway } = await started({ maxBytes: 100_000 })
    expect((await refusal(gateway, post(inputOf(1), { 'content-length': '100001' })))[0]).toBe(413)
    let pulled = 0
    const endless = new ReadableStream({
      pull(controller) {
        controller.enqueue(new Uint8Array(10_000).fill(32))
        pulled++
      },
    })
    const streaming = request('/v2/models/m/infer', { method: 'POST', body: endless, duplex: 'half' } as RequestInit)
    expect(await refusal(gateway, streaming)).toEqual([
      413,
      'the body: expected at most 100000 bytes, unpacked, got more',
    ])
    expect(pulled).toBeLessThan(20)
    const bomb = gzipSync(Buffer.alloc(200 * 2 ** 20, 32))
    const before = process.memoryUsage().arrayBuffers
    expect((await refusal(gateway, post(bomb.subarray(0, 99_000), { 'content-encoding': 'gzip' })))[0]).toBe(413)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20e6)
    await gateway.close()
  })

  it('of all requests together have a limit: beyond it 429 before one is read, until others have their answers', async () => {
    const workers = workersOf(1, hang)
    const { gateway } = await started({ maxBytes: 200_000, maxTotalBytes: 300_000 }, { m: model(workers) })
    const padded = (bytes: number) => {
      const text = JSON.stringify(inputOf(1))
      return text.replace('"data":[', `"data":[${' '.repeat(bytes - text.length)}`)
    }
    const first = gateway(post(padded(200_000), { 'content-length': '200000' }))
    await turn()
    let pulled = 0
    const body = () =>
      new ReadableStream(
        {
          pull(controller) {
            if (++pulled < 15) controller.enqueue(new Uint8Array(10_000).fill(32))
            else controller.close()
          },
        },
        { highWaterMark: 0 },
      )
    const streaming = (headers = {}) =>
      request('/v2/models/m/infer', { method: 'POST', headers, body: body(), duplex: 'half' } as RequestInit)
    const announced = await answerOf(gateway, streaming({ 'content-length': '150000' }))
    const sentence = 'all requests and their answers: expected at most 300000 bytes together, got more'
    expect([announced.status, announced.json.error, pulled]).toEqual([429, sentence, 0])
    expect(announced.headers.get('retry-after')).toBe('1')
    expect(await refusal(gateway, streaming())).toEqual([429, sentence])
    expect(pulled).toBeLessThan(13)
    const packed = gzipSync(padded(150_000))
    expect((await refusal(gateway, post(packed, { 'content-encoding': 'gzip' })))[0]).toBe(429)
    const small = gateway(post(padded(60_000), { 'content-length': '60000' }))
    await turn()
    workers[0].calls[0].answer()
    expect((await first).status).toBe(200)
    workers[0].calls[0].answer()
    expect((await small).status).toBe(200)
    // The room of one whose client has gone, and of one that breaks off or was refused for what it is, is given back, too.
    const gone = new AbortController()
    const left = gateway(post(padded(200_000), { 'content-length': '200000' }, undefined, gone.signal))
    await turn()
    gone.abort()
    expect((await left).status).toBe(499)
    const breaking = () => {
      const start = (controller: ReadableStreamDefaultController) => controller.enqueue(new Uint8Array(150_000))
      const pull = (controller: ReadableStreamDefaultController) => controller.error(new Error('broke off'))
      return new ReadableStream({ start, pull })
    }
    for (const _ of [1, 2, 3]) {
      const init = { method: 'POST', body: breaking(), duplex: 'half' } as RequestInit
      expect((await refusal(gateway, request('/v2/models/m/infer', init)))[0]).toBe(400)
    }
    for (const _ of [1, 2]) {
      expect((await refusal(gateway, post('x'.repeat(200_000), { 'content-length': '200000' })))[0]).toBe(400)
    }
    await gateway.close()
  })

  it('of one address together have half of the limit, or are one request: others find room', () => {
    const half = 2 * SMALL
    const budget = new ByteBudget(2 * half)
    const from = (address: string) => {
      const request = post(inputOf(1))
      tellClient(request, { address, cut() {} })
      return budget.open(request)
    }
    const [first, second] = [from('10.0.0.1'), from('10.0.0.1')]
    first(half)
    expect(() => second(half - 1)).toThrow(`requests of one address and their answers: expected at most ${half} bytes`)
    second(SMALL) // as much always has room
    from('10.0.0.2')(half)
    first(0)
    second(half)
    second(0)
    from('10.0.0.1')(half + 1 - SMALL)
  })

  it.each([
    ['of a known length', { 'content-length': '150000' }],
    ['as it comes', {}],
  ])(
    'who leaves while a body, %s, has stopped holds no request and no bytes, also where the body stays open',
    async (_, headers) => {
      const { gateway, events } = await started({ maxBytes: 200_000, maxTotalBytes: 200_000 })
      const leaving = new AbortController()
      let more: (bytes: number) => void = () => {}
      const body = new ReadableStream({
        start(controller) {
          more = (bytes) => controller.enqueue(new Uint8Array(bytes).fill(32))
          more(100_000)
        },
      })
      const init = { method: 'POST', headers, body, duplex: 'half', signal: leaving.signal } as RequestInit
      const answered = gateway(request('/v2/models/m/infer', init))
      await turn()
      leaving.abort()
      expect((await answered).status).toBe(499)
      expect(events.map(({ status }) => status)).toEqual([499])
      try {
        more(50_000)
      } catch {} // nobody takes it any more
      await turn()
      const large = JSON.stringify(inputOf(1)).padEnd(190_000)
      expect((await refusal(gateway, post(large)))[0]).toBe(400) // for what it says, not 429
      await gateway.drain()
      await gateway.close()
    },
  )

  it('replies are packed where asked for, and large enough to gain by it', async () => {
    const { gateway } = await started()
    const accepted: [string, string | null][] = [
      ['gzip', 'gzip'],
      ['deflate', 'deflate'],
      ['gzip, deflate, br', 'gzip'],
      ['deflate, gzip;q=0.5', 'deflate'],
      ['gzip;q=0', null],
      ['identity', null],
      ['*', 'gzip'],
      ['gzip, identity', 'gzip'],
      ['gzip;q=0.5, identity', null],
      ['br', null],
      ['gzip;q=x', null],
    ]
    for (const [accept, coding] of accepted) {
      const response = await gateway(post(rows, { 'accept-encoding': accept }))
      expect([accept, response.headers.get('content-encoding'), response.headers.get('vary')]).toEqual([
        accept,
        coding,
        'Accept-Encoding',
      ])
      const body = new Uint8Array(await response.arrayBuffer())
      expect(Number(response.headers.get('content-length'))).toBe(body.length)
      const plain = coding
        ? await new Response(new Blob([body]).stream().pipeThrough(new DecompressionStream(coding as 'gzip'))).json()
        : JSON.parse(Buffer.from(body).toString())
      expect(plain.outputs[0].data.length).toBe(200)
    }
    const small = await gateway(post(inputOf(1), { 'accept-encoding': 'gzip' }))
    expect(small.headers.get('content-encoding')).toBeNull()
    await gateway.close()
  })

  it('more rows than are taken', async () => {
    const { gateway } = await started({ maxRows: 99 })
    expect(await refusal(gateway, post(rows))).toEqual([
      400,
      'inputs[0].shape[0]: expected an integer from 1 to 99, got 100',
    ])
    await gateway.close()
  })
})
