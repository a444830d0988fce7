/** Texts whose answers are lost, late, wrong, or not wanted any more: in the words of each interface. */

import { ApproxiferError, type ModelWorker } from 'approxifer'
import { describe, expect, it } from 'vitest'
import type { Signature, TensorList } from '../../src/base/tensor'
import { turn } from '../../src/oip/json'
import { tokenizer } from '../shared/embedder'
import { answerOf, post, started } from '../shared/started-gateway'
import { until } from '../shared/waiting'

const tokens = { shape: [-1], type: 'int64' as const }
const signature: Signature = {
  inputs: [
    { name: 'input_ids', ...tokens },
    { name: 'attention_mask', ...tokens },
  ],
  outputs: [{ name: 'sentence_embedding', shape: [2] }],
}

type Infer = (query: TensorList, signal: AbortSignal | undefined) => Promise<number[]>

function workerOf(infer: Infer): ModelWorker {
  return {
    ...{ name: 'w', signature, free: true, slots: 100, onFree: undefined, close: async () => {} },
    infer: async (query, { signal } = {}) => [{ data: Float32Array.from(await infer(query, signal)), shape: [2] }],
  }
}
async function gatewayOf(infer: Infer, more: object = {}) {
  const model = { workers: [workerOf(infer)], text: { tokenizer, maxTokens: 16 }, hedge: false as const, ...more }
  return started({}, { m: model })
}
const embeddings = (more: object = {}, signal?: AbortSignal) => {
  return post({ model: 'm', input: ['a', 'b'], ...more }, {}, '/v1/embeddings', signal)
}
const embed = (more: object = {}) => post({ inputs: ['a', 'b'], ...more }, {}, '/embed')
const never: Infer = (_, signal) => {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(new ApproxiferError('ABORTED', 'aborted')))
  })
}

describe.each<[string, Infer, object, number, string | null, string]>([
  [
    'a worker that fails',
    async () => Promise.reject(new ApproxiferError('WORKER', 'broken')),
    {},
    500,
    null,
    'backend',
  ],
  ['no answer by the deadline', never, { parameters: { deadline_ms: 50 } }, 504, null, 'backend'],
  ['NaN', async () => [Number.NaN, 1], {}, 502, null, 'backend'],
])('%s', (_, infer, more, status, code, error_type) => {
  it('is an error of the server’s, as its clients read it', async () => {
    const { gateway, events } = await gatewayOf(infer)
    const openai = await answerOf(gateway, embeddings(more))
    expect([openai.status, openai.json]).toEqual([
      status,
      { error: { message: expect.stringMatching(/^row \d: /), type: 'server_error', param: null, code } },
    ])
    const tei = await answerOf(gateway, embed(more))
    expect([tei.status, tei.json]).toEqual([status, { error: expect.stringMatching(/^row \d: /), error_type }])
    expect(events.map((event) => [event.route, event.status])).toEqual([
      ['embeddings', status],
      ['embeddings', status],
    ])
    await gateway.close()
  })
})

it('more queries than are taken are told to come again', async () => {
  const { gateway } = await gatewayOf(never, { limits: { queries: 1 } })
  const gone = new AbortController()
  const first = answerOf(gateway, embeddings({ input: 'a' }, gone.signal))
  await until(() => gateway.predictor('m').stats().open === 1)
  const { status, headers, json } = await answerOf(gateway, embeddings({ input: 'b' }))
  expect([status, headers.get('retry-after')]).toEqual([429, '1'])
  expect(json.error).toMatchObject({ type: 'rate_limit_error', code: 'rate_limit_exceeded' })
  expect((await answerOf(gateway, embed({ inputs: 'b' }))).json.error_type).toBe('overloaded')
  gone.abort()
  await first
  await gateway.close()
})

it('a caller who leaves takes all its texts back', async () => {
  const signals: (AbortSignal | undefined)[] = []
  const { gateway, events } = await gatewayOf((query, signal) => {
    signals.push(signal)
    return never(query, signal)
  })
  const gone = new AbortController()
  const asked = answerOf(gateway, embeddings({ input: ['a', 'b', 'c'] }, gone.signal))
  await until(() => signals.length === 3)
  gone.abort()
  const { status } = await asked
  expect([status, events[0].status, gateway.predictor('m').stats().open]).toEqual([499, 499, 0])
  expect(signals.map((signal) => signal?.aborted)).toEqual([true, true, true])
  await gateway.close()
})

it('texts of a caller who has left are not read to the last', async () => {
  let read = 0
  const counting = {
    id_to_token: (id: number) => tokenizer.id_to_token(id),
    encode(text: string, options?: object) {
      read++
      return tokenizer.encode(text, options)
    },
  }
  const { gateway, events } = await gatewayOf(never, { text: { tokenizer: counting, maxTokens: 16 } })
  const gone = new AbortController()
  const input = Array.from({ length: 200 }, () => 'a'.padEnd(2 ** 13, ' '))
  const answer = answerOf(gateway, embeddings({ input }, gone.signal))
  await until(() => read > 0)
  gone.abort()
  expect([(await answer).status, events[0].status]).toEqual([499, 499])
  expect(read).toBeLessThan(input.length)
  await gateway.close()
})

it('tenants are kept apart, and a request that is drained ends before its model does', async () => {
  let answer: (values: number[]) => void = () => {}
  const { gateway } = await gatewayOf(() => new Promise((resolve) => (answer = resolve)), { limits: { tenants: 2 } })
  const asked = answerOf(gateway, embeddings({ input: 'a', parameters: { tenant: 'somebody' } }))
  await until(() => gateway.predictor('m').stats().open === 1)
  const unloaded = gateway.unload('m')
  for (let i = 0; i < 10; i++) await turn() // a model that nobody asks is closed by now
  answer([1, 2])
  const { status, json } = await asked
  expect([status, json.data[0].embedding]).toEqual([200, [1, 2]])
  await unloaded
  expect((await answerOf(gateway, embeddings())).status).toBe(404)
  await gateway.close()
})

it('a tokenizer of the user’s that fails is no fault of who asks, whatever its error says', async () => {
  const encode = () => {
    throw new TypeError('expected a string, got an object')
  }
  const broken = Object.assign(Object.create(tokenizer), { encode })
  const { gateway, warnings } = await gatewayOf(async () => [1, 2], { text: { tokenizer: broken, maxTokens: 16 } })
  expect((await answerOf(gateway, embed())).status).toBe(500)
  expect(warnings.filter((text) => text.startsWith('a request failed by a defect'))).toHaveLength(1)
  await gateway.close()
})
