import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import workerd from 'workerd'
import { readMessage, readReply } from '../src/oip/read'
import { writeRequest } from '../src/oip/write'
import { ranBy } from './shared/counted-elsewhere'
import { idsOf } from './shared/embedder'
import { serveGateway, type TestServer } from './shared/http-server'
import { doubling, listOf } from './shared/vectors'
import { inWorkerd } from './shared/workerd'

const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }

describe('workerd', () => {
  it('its build imports core.wasm and holds the golden vectors', ranBy('workerd', workerd, 'codec'), () =>
    inWorkerd('edge.js', async ({ url, errors }) => {
      const response = await fetch(url)
      const text = await response.text()
      expect(response.status, text + errors()).toBe(200)
      const result = JSON.parse(text)
      expect(result).toMatchObject({ kind: 'wasm', suspects: [5] })
      expect(result.worst).toBeLessThan(1e-12)
      for (const value of result.constant) expect(value).toBeCloseTo(1, 5)
      expect(result.predictor).toContain('not on this runtime')
    }),
  )

  it(
    'a gateway serves there: JSON and binary, packed both ways, with a store',
    ranBy('workerd', workerd, 'gateway'),
    () => {
      const use = async ({ url, errors }: { url: string; errors(): string }) => {
        const rows = 400
        const data = Array.from({ length: 2 * rows }, (_, i) => i)
        const inputs = [{ name: 'x', shape: [rows, 2], datatype: 'FP32', data }]
        const body = gzipSync(JSON.stringify({ id: 'e', inputs }))
        const headers = { 'content-encoding': 'gzip', 'accept-encoding': 'gzip' }
        const response = await fetch(`${url}/v2/models/m/infer`, { method: 'POST', headers, body })
        const text = await response.text()
        expect(response.status, text + errors()).toBe(200)
        expect(response.headers.get('content-encoding')).toBe('gzip')
        const reply = JSON.parse(text)
        expect(reply.outputs[0].data).toEqual(data.map((v) => 2 * v))
        expect(reply.parameters.status).toHaveLength(rows)
        const sent = await writeRequest(signature, { queries: [listOf(Float32Array.of(1, 2))], binary: true })
        const length = { 'inference-header-content-length': String(sent.headerLength) }
        const binary = await fetch(`${url}/v2/models/m/infer`, {
          method: 'POST',
          headers: length,
          body: sent.body as BodyInit,
        })
        const message = await readMessage(
          new Uint8Array(await binary.arrayBuffer()),
          binary.headers.get('inference-header-content-length'),
        )
        expect(readReply(message, signature, 1).answers).toEqual([listOf(Float32Array.of(2, 4))])
        expect((await fetch(`${url}/v2/models/no/infer`, { method: 'POST', body: '{}' })).status).toBe(404)
        expect(await (await fetch(`${url}/v2/health/ready`)).json()).toEqual({ ready: true })
        expect(Number(await (await fetch(`${url}/save`)).text())).toBeGreaterThan(100)
        const input = JSON.stringify({ model: 'texts', input: ['a library', 'fast'] })
        const texts = await (await fetch(`${url}/v1/embeddings`, { method: 'POST', body: input })).json()
        expect(texts.data.map(({ embedding }: { embedding: number[] }) => embedding)).toEqual([
          [4, idsOf('a library')[2]],
          [idsOf('fast').length, idsOf('fast').at(-2)],
        ])
        const said = await (await fetch(`${url}/files-alone`)).text()
        expect(said).toMatch(/^text\.tokenizer: expected on this runtime a Tokenizer of @huggingface\/tokenizers/)
      }
      return inWorkerd('edge-gateway.js', use, [])
    },
  )
})

describe(
  'workerd, two times eight requests at once, on workers that are HTTP servers',
  ranBy('workerd', workerd, 'HTTP'),
  () => {
    const infer = doubling
    const servers: TestServer[] = []
    beforeAll(async () => {
      for (const name of ['a', 'b', 'c']) {
        const worker = { name, signature, free: true, onFree: undefined, infer, close: async () => {} }
        servers.push(await serveGateway({ models: { m: { workers: [worker] } } }))
      }
    })
    afterAll(() => Promise.all(servers.map((server) => server.close())))

    /** @param made  where what they ask was made. @returns the answers to the first eight and to the others, as "status body" */
    async function bursts(made: string): Promise<string[][]> {
      const answers: string[][] = []
      const body = JSON.stringify({ inputs: [{ name: 'x', shape: [1, 2], datatype: 'FP32', data: [1, 2] }] })
      const use = async ({ url }: { url: string }) => {
        const ask = async () => {
          const path = `/v2/models/m/infer?${new URLSearchParams({ made })}`
          const response = await fetch(url + path, { method: 'POST', body })
          return `${response.status} ${await response.text()}`
        }
        for (let i = 0; i < 2; i++) answers.push(await Promise.all(Array.from({ length: 8 }, ask)))
      }
      const urls = servers.map(({ url }) => url)
      await inWorkerd('edge-io.js', use, urls)
      return answers
    }

    it('a gateway in a Durable Object answers all of them', async () => {
      const answers = (await bursts('in a Durable Object')).flat()
      expect(answers).toEqual(Array(16).fill(expect.stringMatching(/^200 .*"data":\[2,4\]/)))
    })

    it.each(['at module scope', 'in another request', 'in another request, which others wait for'])(
      'a gateway made %s says so to the first request that it cannot answer, and none hangs',
      async (made) => {
        const [first, second] = await bursts(made)
        const refused = expect.stringMatching(/^500 .*"the gateway was made .* another request.* Durable Object/)
        const served = first.filter((answer) => /^200 .*"data":\[2,4\]/.test(answer))
        expect(served).toHaveLength(made === 'at module scope' ? 0 : 1)
        expect(first.filter((answer) => !served.includes(answer))).toEqual(Array(8 - served.length).fill(refused))
        expect(second).toEqual(Array(8).fill(refused))
      },
    )

    it.each(['predict', 'predictAll'])(
      'so does a predictor that is asked to %s',
      ranBy('workerd', workerd, 'predictor'),
      async (what) => {
        const [first, second] = await bursts(`in another request, ${what}`)
        expect(first).toEqual(Array(8).fill('200 [2,4]')) // each made one of its own
        const refused =
          /^500 {"name":"ApproxiferError","code":"CLOSED","error":"the predictor was made .* another request.* Durable Object/
        expect(second).toEqual(Array(8).fill(expect.stringMatching(refused)))
      },
    )
  },
)
