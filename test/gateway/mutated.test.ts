/**
 * No request, however mutated, is a 5xx of our making, and none is lost: recorded exchanges and texts, changed at random, to real models.
 * APPROXIFER_MUTATED says how many, APPROXIFER_SEED which.
 */

import { readdirSync } from 'node:fs'
import type { GatewayModel } from 'approxifer/gateway'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { EMBEDDER, jsonIn } from '../shared/embedder'
import { type Mutable, Mutations } from '../shared/mutated-requests'
import { ranker } from '../shared/ranker'
import { content, type HttpMessage, recorded } from '../shared/recorded-http'
import { answerOf, inputOf, model, post, request, started } from '../shared/started-gateway'

const REQUESTS = Number(process.env.APPROXIFER_MUTATED ?? 1500)
const AT_A_TIME = 16

/** Posts of recorded clients, and what the OpenAI and the Text Embeddings Inference interface take. */
function sounds(): Mutable[] {
  const files = ['triton', 'kserve', 'server-kserve', 'server-mlserver'].flatMap((folder) =>
    readdirSync(`test/oip/${folder}`).flatMap((name) => (name.endsWith('.request') ? [`${folder}/${name}`] : [])),
  )
  const asked = files.flatMap(recorded).flatMap((message) => {
    const [method, path] = message.start.split(' ')
    if (method !== 'POST' || !path.endsWith('/infer')) return []
    const { json, binary } = parsedOr(message, {})
    const isIdx = ({ name }: { name: string }) => name === 'idx' // which is not served
    if (json?.outputs) json.outputs = json.outputs.filter((output: { name: string }) => !isIdx(output))
    return [{ path: '/v2/models/toy/infer', method, headers: {}, json, binary }]
  })
  const texts: [string, object][] = [
    ['/v1/embeddings', { model: 'embedder', input: ['fast', 'a tool'], encoding_format: 'base64', user: 'me' }],
    [
      '/v1/embeddings',
      { model: 'embedder', input: [[5, 6, 7], 'fast'], dimensions: 128, parameters: { policy: 'retry' } },
    ],
    ['/embed', { model: 'embedder', inputs: 'fonts', truncate: true, normalize: true, truncation_direction: 'Left' }],
    ['/rerank', { model: 'ranker', query: 'fast', texts: ['a', 'b'], raw_scores: true, return_text: false }],
    ['/v2/models/m/infer', inputOf(3)],
    [
      '/v2/models/m/infer',
      { ...inputOf(1), id: '7', parameters: { deadline_ms: 5000, priority: 1, allow_partial: true } },
    ],
    [
      '/v2/models/coded/infer',
      { ...inputOf(2), parameters: { tenant: 'a', min_confidence: 0.5, at_deadline: 'give' } },
    ],
    [
      '/v2/models/coded/versions/1/infer',
      { ...inputOf(2), parameters: { policy: 'recover', timeout: 5_000_000, ask: true } },
    ],
  ]
  return [
    ...asked,
    ...texts.map(([path, json]) => ({ path, method: 'POST', headers: {}, json, binary: new Uint8Array() })),
  ]
}

/** Some of the recorded ones are no JSON. */
function parsedOr(message: HttpMessage, json: object): ReturnType<typeof content> {
  try {
    return content(message)
  } catch {
    return { json, binary: Buffer.alloc(0) }
  }
}

const files = { 'tokenizer.json': jsonIn('tokenizer.json'), 'tokenizer_config.json': jsonIn('tokenizer_config.json') }

let own: Awaited<ReturnType<typeof started>>
beforeAll(async () => {
  const models: Record<string, GatewayModel> = {
    toy: { model: 'test/oip/toy.onnx', onnx: { outputs: ['y'] }, workers: 2 },
    embedder: { model: EMBEDDER, workers: 2 },
    ranker: { model: ranker, workers: 1, text: { files } },
    m: model(undefined, { reuse: { exact: true } }),
    coded: model(undefined, { scheme: { queries: 2 }, limits: { tenants: 3 } }),
  }
  own = await started({ maxBytes: 200_000, maxRows: 500 }, models)
})
afterAll(() => own.gateway.close())

it(`${REQUESTS} mutated requests: each is answered, none 5xx, and all that follows is`, async () => {
  const random = seeded(Number(process.env.APPROXIFER_SEED ?? 1))
  const mutations = new Mutations(random)
  const all = sounds()
  const counts: Record<number, number> = {}
  const odd: string[] = []
  let sent = 0
  const client = async () => {
    while (sent++ < REQUESTS) {
      const { path, method, headers, body } = mutations.of(mutations.oneOf(all))
      const response = await own.gateway(request(path, { method, headers, body: new Uint8Array(body) }))
      const { status } = response
      const text = await response.text()
      counts[status] = (counts[status] ?? 0) + 1
      // A deadline of less than a moment was the client's own choice.
      if (status < 500 || status === 504) continue
      odd.push(
        [status, text, method, path, JSON.stringify(headers), body.subarray(0, 400).toString('latin1')].join(' '),
      )
    }
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, client))
  if (process.env.APPROXIFER_MUTATED) console.log(JSON.stringify(counts))
  expect(odd.slice(0, 5)).toEqual([])
  expect(own.warnings.filter((text) => text.includes('defect'))).toEqual([])
  expect(own.events).toHaveLength(REQUESTS)
  expect(counts[200]).toBeGreaterThan(REQUESTS / 20)
  for (const name of own.gateway.names) expect([name, own.gateway.predictor(name).stats().open]).toEqual([name, 0])
  expect((await answerOf(own.gateway, post(inputOf(3)))).status).toBe(200)
  expect((await answerOf(own.gateway, post({ inputs: 'fonts', model: 'embedder' }, {}, '/embed'))).status).toBe(200)
  await own.gateway.drain() // none is under way for ever
})
