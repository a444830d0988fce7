/** Texts to a gateway with a real model: vectors that are the model's own, and refusals as each interface has them. */

import { createGateway, type GatewayModel } from 'approxifer/gateway'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EMBEDDER, idsOf, jsonIn, LONGEST, largestDifference, reference, tokenizer, WIDTH } from '../shared/embedder'
import { ranker } from '../shared/ranker'
import { answerOf, post, request, started } from '../shared/started-gateway'

type StartedGateway = Awaited<ReturnType<typeof started>>
const files = { 'tokenizer.json': jsonIn('tokenizer.json'), 'tokenizer_config.json': jsonIn('tokenizer_config.json') }

const texts = ['a library for parsing', 'fast', 'a tool to draw graphs', 'Größe und Übermut', 'fonts']
const embeddings = (body: object) => post({ model: 'embedder', ...body }, {}, '/v1/embeddings')

describe('a gateway', () => {
  let own: StartedGateway
  const at = (path: string, body: unknown) => answerOf(own.gateway, post(body, {}, path))
  const ask = (body: object) => answerOf(own.gateway, embeddings(body))

  beforeAll(async () => {
    const models: Record<string, GatewayModel> = {
      embedder: { model: EMBEDDER, workers: 2 },
      matryoshka: { model: EMBEDDER, workers: 1, text: { dimensions: true, longTexts: 'truncate' } },
      ranker: { model: ranker, workers: 1, text: { files, maxTokens: 16 } },
      plain: { model: EMBEDDER, workers: 1, text: false },
    }
    own = await started({}, models)
  })
  afterAll(() => own.gateway.close())

  it('gives the vectors of the model itself, and counts tokens', async () => {
    const { status, json } = await ask({ input: texts, user: 'somebody' })
    expect([status, json.object, json.model]).toEqual([200, 'list', 'embedder'])
    expect(json.data.map(({ object, index }: { object: string; index: number }) => [object, index])).toEqual(
      texts.map((_, i) => ['embedding', i]),
    )
    const vectors = json.data.map(({ embedding }: { embedding: number[] }) => embedding)
    expect(largestDifference(vectors, await reference(texts.map(idsOf)))).toBeLessThan(1e-6)
    const count = texts.reduce((sum, text) => sum + idsOf(text).length, 0)
    expect(json.usage).toEqual({ prompt_tokens: count, total_tokens: count })
    expect(json.parameters.status).toEqual(texts.map(() => 'exact'))
    const { route, model, queries, statuses } = own.events.at(-1) ?? {}
    expect([route, model, queries, statuses?.exact]).toEqual(['embeddings', 'embedder', texts.length, texts.length])
  })

  it('takes one text, one list of tokens, lists of tokens, and both together', async () => {
    const [[one], ids] = [await reference([idsOf('fast')]), idsOf('fast')]
    const inputs: [unknown, number][] = [
      ['fast', 1],
      [['fast'], 1],
      [ids, 1],
      [[ids, ids], 2],
      [['fast', ids], 2],
    ]
    for (const [input, count] of inputs) {
      const { json } = await ask({ input })
      const vectors = json.data.map(({ embedding }: { embedding: number[] }) => embedding)
      expect(largestDifference(vectors, Array(count).fill(one))).toBeLessThan(1e-6)
      expect(json.usage.total_tokens).toBe(count * ids.length)
    }
  })

  it('gives the same bytes as base64', async () => {
    const [plain, packed] = [await ask({ input: texts }), await ask({ input: texts, encoding_format: 'base64' })]
    for (const [i, { embedding }] of packed.json.data.entries()) {
      const bytes = new Uint8Array(Buffer.from(embedding, 'base64'))
      const { embedding: numbers } = plain.json.data[i]
      expect(largestDifference([new Float32Array(bytes.buffer)], [numbers])).toBeLessThan(1e-6)
    }
  })

  it('gives 2,048 vectors at once', async () => {
    const many = Array.from({ length: 2048 }, (_, i) => `${texts[i % texts.length]} ${i % 7}`)
    const { status, json } = await ask({ input: many, encoding_format: 'base64' })
    expect([status, json.data.length]).toEqual([200, 2048])
    const sample = [0, 5, 700, 2047]
    const vectors = sample.map((i) => {
      return new Float32Array(new Uint8Array(Buffer.from(json.data[i].embedding, 'base64')).buffer)
    })
    expect(largestDifference(vectors, await reference(sample.map((i) => idsOf(many[i]))))).toBeLessThan(1e-6)
  })

  it('refuses a long text, or cuts it where the request or the server says so', async () => {
    const input = Array.from({ length: 8000 }, (_, i) => (i % 2 ? 'library' : 'a')).join(' ')
    const kept = idsOf(input).slice(0, LONGEST - 1).concat(idsOf('').slice(-1)) // biome-ignore format: one line
    const { status, json } = await ask({ input })
    expect([status, json]).toEqual([
      400,
      {
        error: {
          message: "input: expected at most 64 tokens, got 8002; ask for 'truncate' to have it cut",
          ...{ type: 'invalid_request_error', param: 'input', code: 'context_length_exceeded' },
        },
      },
    ])
    for (const cut of [
      await ask({ input, truncate: true }),
      await ask({ input: idsOf(input).slice(0, 63).concat(3, 3, 3), truncate: true }),
      await ask({ input, model: 'matryoshka' }),
    ]) {
      expect(cut.json.usage.total_tokens).toBe(LONGEST)
      expect(largestDifference([cut.json.data[0].embedding], await reference([kept]))).toBeLessThan(1e-6)
    }
    expect((await ask({ input, model: 'matryoshka', truncate: false })).status).toBe(400)
  })

  it('cuts vectors where the model allows it', async () => {
    const [whole] = await reference([idsOf('fast')])
    const length = Math.hypot(...whole.subarray(0, 32))
    const { json } = await ask({ input: 'fast', model: 'matryoshka', dimensions: 32 })
    const expected = whole.subarray(0, 32).map((value) => value / length)
    expect(largestDifference([json.data[0].embedding], [expected])).toBeLessThan(1e-6)
    expect((await ask({ input: 'fast', dimensions: WIDTH })).json.data[0].embedding.length).toBe(WIDTH)
    const { status, json: refused } = await ask({ input: 'fast', dimensions: 32 })
    expect([status, refused.error.param]).toEqual([400, 'dimensions'])
  })

  it.each<[object, number, string | null, string]>([
    [{ input: '' }, 400, 'input', 'input: expected a text that is not empty, got ""'],
    [{ input: [] }, 400, 'input', 'input: expected at least one, got none'],
    [{ input: ['a', ''] }, 400, 'input', 'input[1]: expected a text that is not empty, got ""'],
    [{ input: ['a', 5] }, 400, 'input', 'input[1]: expected a text that is not empty, got 5'],
    [{ input: [[43], []] }, 400, 'input', 'input[1]: expected a text or tokens, got none'],
    [{ input: [43, 99_999] }, 400, 'input', 'input[1]: expected a token id of this model, got 99999'],
    [{ input: { text: 'a' } }, 400, 'input', 'input: expected an array, got Object'],
    [{}, 400, 'input', 'input: expected an array, got undefined'],
    [{ input: Array(10_001).fill('a') }, 400, 'input', 'input.length: expected an integer from 1 to 10000, got 10001'],
    [{ input: 'a', model: 5 }, 400, 'model', 'model: expected a model’s name, got 5'.replace('’', "'")],
    [{ input: 'a', model: 'plain' }, 400, 'model', 'the model: expected one that gives vectors of texts, got one that takes no texts: its option text is false'], // biome-ignore format: one line
    [{ input: 'a', model: 'ranker' }, 400, 'model', 'the model: expected one that gives vectors of texts, got one that gives a score'], // biome-ignore format: one line
    [{ input: 'a', encoding_format: 'int8' }, 400, 'encoding_format', "encoding_format: expected 'float' | 'base64', got \"int8\""], // biome-ignore format: one line
    [{ input: 'a', dimensions: 0 }, 400, 'dimensions', 'dimensions: expected an integer from 1 to 128, got 0'],
    [{ input: 'a', truncate: 'END' }, 400, 'truncate', 'truncate: expected true or false, got "END"'],
    [{ input: 'a', inputs: 'a' }, 400, null, "inputs: expected 'input', got an unknown option"],
    [{ input: 'a', parameters: { deadline_ms: -1 } }, 400, 'parameters', 'parameters.deadline_ms: expected milliseconds from 0 to 2,147,483,647, got -1'], // biome-ignore format: one line
    [{ input: 'a', parameters: { allow_partial: true } }, 400, 'parameters', 'parameters.allow_partial: expected none where texts are asked for, got true'], // biome-ignore format: one line
  ])('refuses %o', async (body, status, param, message) => {
    const { status: got, json } = await ask(body)
    expect([got, json]).toEqual([status, { error: { message, type: 'invalid_request_error', param, code: null } }])
  })

  it('refuses what is no JSON, another method, an unknown model or path, in OpenAI’s shape', async () => {
    const unknown = await ask({ input: 'a', model: 'gpt' })
    expect([unknown.status, unknown.json.error.code, unknown.json.error.param]).toEqual([404, 'model_not_found', 'model']) // biome-ignore format: one line
    const broken = await at('/v1/embeddings', '{"input":')
    expect([broken.status, broken.json.error.type]).toEqual([400, 'invalid_request_error'])
    const { status, headers, json } = await answerOf(own.gateway, request('/v1/embeddings'))
    expect([status, headers.get('allow'), json.error.message]).toEqual([405, 'POST', 'the method: expected POST, got "GET"']) // biome-ignore format: one line
    expect((await answerOf(own.gateway, request('/v1/models'))).json.error.code).toBe(null)
    const large = await ask({ input: 'a'.repeat(2 ** 23) })
    expect([large.status, large.json.error.type]).toEqual([413, 'invalid_request_error'])
  })

  it('is meant by who may ask one alone, without its name', async () => {
    const asked = () => post({ inputs: 'What is Deep Learning?' }, {}, '/embed')
    const status = async (models: string[]) => (await own.gateway(asked(), { models })).status
    expect([await status(['matryoshka', 'ranker']), await status(['matryoshka', 'embedder'])]).toEqual([200, 400])
  })

  it('takes what curl sends in the documentation of Text Embeddings Inference', async () => {
    const expected = await reference([idsOf('What is Deep Learning?'), idsOf('Today is a nice day')])
    const one = await at('/embed', { inputs: 'What is Deep Learning?', model: 'embedder' })
    const two = await at('/embed', { inputs: ['What is Deep Learning?', 'Today is a nice day'], model: 'embedder' })
    expect(largestDifference(one.json, expected.slice(0, 1))).toBeLessThan(1e-6)
    expect(largestDifference(two.json, expected)).toBeLessThan(1e-6)
    const query = 'What is Deep Learning?'
    const { status, json } = await at('/rerank', {
      query,
      texts: ['Deep Learning is not...', 'a', 'Deep learning is...'],
    })
    expect(status).toBe(200)
    expect(json.map(({ index }: { index: number }) => index).sort()).toEqual([0, 1, 2])
    expect(json[2]).toEqual({ index: 1, score: expect.any(Number) })
  })

  it('ranks pairs by their scores, raw or as probabilities, with their texts where asked', async () => {
    const score = (query: string, text: string) => {
      const { ids, token_type_ids } = tokenizer.encode(query, { text_pair: text, return_token_type_ids: true })
      const sum = (list: readonly number[]) => list.reduce((total, id) => total + id)
      return sum(ids.map((id, i) => id * token_type_ids[i])) / sum(ids)
    }
    const query = 'draw graphs'
    const expected = texts
      .map((text, index) => ({ index, text, score: score(query, text) }))
      .sort((a, b) => b.score - a.score)
    const raw = await at('/rerank', { query, texts, raw_scores: true, return_text: true })
    expect(raw.json).toEqual(expected.map((rank) => ({ ...rank, score: expect.closeTo(rank.score, 6) })))
    const { json } = await at('/rerank', { query, texts })
    const probability = (value: number) => 1 / (1 + Math.exp(-value))
    expect(json).toEqual(expected.map(({ index, score }) => ({ index, score: expect.closeTo(probability(score), 6) })))
    expect(own.events.at(-1)).toMatchObject({ route: 'rerank', model: 'ranker', queries: texts.length })
  })

  it.each<[string, object, number, string, string]>([
    ['/rerank', { query: 'a', texts: [] }, 400, 'empty', 'texts: expected at least one, got none'],
    ['/rerank', { query: '', texts: ['a'] }, 400, 'validation', 'query: expected a text that is not empty, got ""'],
    ['/rerank', { query: 'a', texts: [5] }, 400, 'validation', 'texts[0]: expected a text that is not empty, got 5'],
    ['/rerank', { query: 'a', texts: ['b '.repeat(20)] }, 413, 'validation', "texts[0]: expected at most 16 tokens, got 24; ask for 'truncate' to have it cut"], // biome-ignore format: one line
    ['/rerank', { query: 'a', texts: ['b'], model: 'embedder' }, 424, 'backend', 'the model: expected one that gives one score of a pair of texts, as a re-ranker does, got one that gives a vector'], // biome-ignore format: one line
    ['/rerank', { query: 'a', texts: ['b'], truncation_direction: 'up' }, 400, 'validation', "truncation_direction: expected 'left' | 'right' | 'Left' | 'Right', got \"up\""], // biome-ignore format: one line
    ['/rerank', { query: 'a', text: ['b'] }, 400, 'validation', "text: expected 'texts', got an unknown option"],
    ['/embed', { inputs: 'a' }, 400, 'validation', 'model: expected one of embedder, matryoshka, got undefined'],
    ['/embed', { inputs: 'a', model: 'none' }, 404, 'validation', 'the model: expected \'embedder\', \'matryoshka\', \'ranker\', \'plain\', got "none"'], // biome-ignore format: one line
  ])('%s refuses %o', async (path, body, status, error_type, error) => {
    const { status: got, json } = await at(path, body)
    expect([got, json]).toEqual([status, { error, error_type }])
  })

  it('cuts pairs as asked', async () => {
    const body = { query: 'a', texts: [`${'b '.repeat(20)}fonts`], truncate: true, raw_scores: true }
    const scores = [
      (await at('/rerank', body)).json[0].score,
      (await at('/rerank', { ...body, truncation_direction: 'Left' })).json[0].score,
    ]
    expect(scores[0]).not.toBe(scores[1])
  })
})

it('a model whose texts cannot be had is not served, where that was asked for', async () => {
  const models = { m: { model: EMBEDDER, workers: 1, text: { pooling: 'max' } } } as unknown as Record<
    string,
    GatewayModel
  >
  const gateway = createGateway({ models, onWarning: () => {} })
  await expect(gateway.ready()).rejects.toThrow("text.pooling: expected 'mean' | 'cls' | 'last', got \"max\"")
  await gateway.close()
})
