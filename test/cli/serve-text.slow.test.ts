/** `approxifer serve` with an embedder: OpenAI's own client, and what curl sends to Text Embeddings Inference. */

import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import OpenAI, { APIUserAbortError, AuthenticationError, BadRequestError, NotFoundError } from 'openai'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { EMBEDDER, idsOf, LONGEST, largestDifference, reference, TEXT_FOLDER } from '../shared/embedder'
import { parseMetrics, Served } from '../shared/served-process'
import { until } from '../shared/waiting'

const run = promisify(execFile)
const texts = ['a library for parsing', 'fast', 'What is Deep Learning?']
/** 8,000 words. */
const long = Array.from({ length: 8000 }, (_, i) => (i % 2 ? 'library' : 'a')).join(' ')

describe('a server of an embedder', () => {
  let served: Served
  let openai: OpenAI
  const embed = (input: string | string[] | number[], more: object = {}) => {
    return openai.embeddings.create({ model: 'embedder', input, ...more })
  }
  const vectorsOf = ({ data }: OpenAI.CreateEmbeddingResponse) => data.map(({ embedding }) => embedding)
  /** What `curl` prints, as it stands in their documentation. */
  const curl = async (path: string, body: string) => {
    const args = ['-s', `${served.url}${path}`, '-X', 'POST', '-d', body, '-H', 'Content-Type: application/json']
    return JSON.parse((await run('curl', args)).stdout)
  }

  beforeAll(async () => {
    served = await Served.start([EMBEDDER, '--workers', '2'])
    openai = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: 'none', maxRetries: 0 })
  })
  afterAll(() => served.stop())

  it('answers OpenAI’s client with the model’s own vectors, as base64 and as numbers', async () => {
    const expected = await reference(texts.map(idsOf))
    const packed = await embed(texts) // the client asks for base64 unless told otherwise
    expect(largestDifference(vectorsOf(packed), expected)).toBeLessThan(1e-6)
    expect(packed.usage.prompt_tokens).toBe(texts.flatMap(idsOf).length)
    const plain = await embed(texts, { encoding_format: 'float' })
    expect(largestDifference(vectorsOf(plain), expected)).toBeLessThan(1e-6)
    expect(largestDifference(vectorsOf(await embed(idsOf(texts[0]))), expected.slice(0, 1))).toBeLessThan(1e-6)
  })

  it('refuses in ways that it understands', async () => {
    const tooLong = await embed(long).catch((error) => error)
    expect(tooLong).toBeInstanceOf(BadRequestError)
    expect(tooLong).toMatchObject({ status: 400, code: 'context_length_exceeded', param: 'input', type: 'invalid_request_error' }) // biome-ignore format: one line
    expect(tooLong.message).toContain('input: expected at most 64 tokens, got 8002')
    const cut = await embed(long, { truncate: true })
    expect(cut.usage.total_tokens).toBe(LONGEST)
    const unknown = await openai.embeddings.create({ model: 'gpt', input: 'a' }).catch((error) => error)
    expect(unknown).toBeInstanceOf(NotFoundError)
    expect(unknown).toMatchObject({ code: 'model_not_found', param: 'model' })
    await expect(embed('a', { dimensions: 5 })).rejects.toBeInstanceOf(BadRequestError)
  })

  it('gives up what its caller does not want any more', async () => {
    const gone = new AbortController()
    const many = Array.from({ length: 2000 }, (_, i) => `${texts[0]} ${i}`)
    const asked = openai.embeddings.create({ model: 'embedder', input: many }, { signal: gone.signal })
    const open = async () => (await served.metrics()).get('approxifer_queries_open{model="embedder"}') ?? 0
    await until(async () => (await open()) > 0)
    gone.abort()
    await expect(asked).rejects.toBeInstanceOf(APIUserAbortError)
    await served.line(({ route, status }) => route === 'embeddings' && status === 499)
    await until(async () => (await open()) === 0)
  })

  it('answers curl as Text Embeddings Inference does', async () => {
    const expected = await reference([idsOf('What is Deep Learning?')])
    expect(largestDifference(await curl('/embed', '{"inputs":"What is Deep Learning?"}'), expected)).toBeLessThan(1e-6)
    const pair = '{"query":"What is Deep Learning?", "texts": ["Deep Learning is not...", "Deep learning is..."]}'
    expect(await curl('/rerank', pair)).toEqual({
      error: expect.stringMatching(
        /^the model: expected one that gives one score of a pair of texts, as a re-ranker does/,
      ),
      error_type: 'backend',
    })
    expect(await curl('/embed', JSON.stringify({ inputs: long }))).toMatchObject({ error_type: 'validation' })
    expect(await curl('/embed', JSON.stringify({ inputs: long, truncate: true }))).toHaveLength(1)
    const openais = await curl('/v1/embeddings', '{"input":"What is Deep Learning?","model":"embedder"}')
    expect(largestDifference([openais.data[0].embedding], expected)).toBeLessThan(1e-6)
  })

  it('counts and logs them as inference, and never what was asked', async () => {
    await embed('logged secret')
    const line = await served.line(({ route, status }) => route === 'embeddings' && status === 200)
    expect(line).toMatchObject({ model: 'embedder', version: '1', statuses: { exact: expect.any(Number) } })
    expect(served.lines.some((each) => JSON.stringify(each).includes('secret'))).toBe(false)
    const metrics = parseMetrics(await (await fetch(`${served.url}/metrics`)).text())
    expect(metrics.get('approxifer_requests_total{route="embeddings",model="embedder",code="200"}')).toBeGreaterThan(0)
    expect(metrics.get('approxifer_request_seconds_count{model="embedder"}')).toBeGreaterThan(0)
  })
})

it('a token is asked for, and its lack told in OpenAI’s shape; the server’s defaults come from flags', async () => {
  const served = await Served.start([EMBEDDER, '--workers', '1', '--max-tokens', '16', '--long-texts', 'truncate'], {
    APPROXIFER_TOKEN: 'right',
  })
  onTestFinished(async () => void (await served.stop()))
  const client = (apiKey: string) => new OpenAI({ baseURL: `${served.url}/v1`, apiKey, maxRetries: 0 })
  const ask = (apiKey: string) => client(apiKey).embeddings.create({ model: 'embedder', input: long })
  const refused = await ask('wrong').catch((error) => error)
  expect(refused).toBeInstanceOf(AuthenticationError)
  expect(refused).toMatchObject({ status: 401, code: 'invalid_api_key', type: 'invalid_request_error' })
  expect((await ask('right')).usage.total_tokens).toBe(16)
})

it('OpenAI’s client may ask from a page of an origin that may', async () => {
  const served = await Served.start([EMBEDDER, '--workers', '1', '--cors', 'https://example.org'])
  onTestFinished(async () => void (await served.stop()))
  const sent: string[] = []
  const fetch = async (url: string | URL | Request, init?: RequestInit) => {
    sent.push(...new Headers(init?.headers).keys())
    return globalThis.fetch(url, init)
  }
  const openai = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: 'none', fetch: fetch as typeof globalThis.fetch })
  await openai.embeddings.create({ model: 'embedder', input: 'a' })
  const headers = { origin: 'https://example.org', 'access-control-request-method': 'POST' }
  const preflight = await globalThis.fetch(`${served.url}/v1/embeddings`, { method: 'OPTIONS', headers })
  const allowed = preflight.headers.get('access-control-allow-headers')?.split(',') ?? []
  const simple = ['accept', 'content-length', 'user-agent']
  expect(sent.length).toBeGreaterThan(8)
  expect(sent.filter((name) => !allowed.includes(name) && !simple.includes(name))).toEqual([])
})

it('a configuration says where the files are and how outputs are read; they are read again when they change', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'approxifer-text-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const files = join(folder, 'files')
  cpSync(TEXT_FOLDER, files, { recursive: true, filter: (path) => !/\.(onnx|npy)$/.test(path) })
  const config = join(folder, 'config.json')
  const text = { files: 'files', pooling: 'cls', normalize: false, maxTokens: 16 }
  writeFileSync(config, JSON.stringify({ models: { m: { model: resolve(EMBEDDER), workers: 1, text } } }))
  const served = await Served.start(['--config', config])
  onTestFinished(async () => void (await served.stop()))
  const ask = async () => {
    const body = JSON.stringify({ model: 'm', input: 'fast' })
    return (await fetch(`${served.url}/v1/embeddings`, { method: 'POST', body })).json()
  }
  const [embedding] = (await ask()).data.map((each: { embedding: number[] }) => each.embedding)
  expect(Math.hypot(...embedding)).toBeGreaterThan(1.5) // a token's vector, as it is
  const tokenizer = join(files, 'tokenizer.json')
  cpSync(tokenizer, `${tokenizer}.new`)
  rmSync(tokenizer)
  cpSync(`${tokenizer}.new`, tokenizer)
  served.process.kill('SIGHUP')
  expect(await served.line(({ msg }) => msg === 'reloaded')).toMatchObject({ loaded: ['m'] })
})

it.each<[object, string]>([
  [{ poolin: 'cls' }, "models.m.text.poolin: expected 'pooling', got an unknown option"],
  [{ pooling: 'max' }, "models.m.text.pooling: expected 'mean' | 'cls' | 'last', got \"max\""],
  [{ tokenizer: {} }, 'models.m.text.tokenizer: expected one of files, pooling'],
])('the configuration %o is refused', async (text, message) => {
  const folder = mkdtempSync(join(tmpdir(), 'approxifer-text-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const config = join(folder, 'config.json')
  writeFileSync(config, JSON.stringify({ models: { m: { model: resolve(EMBEDDER), text } } }))
  const served = new Served(['--config', config])
  await expect(served.line(() => false)).rejects.toThrow(message)
  expect(served.process.exitCode).toBe(2)
})

it('without the tokenizers’ package a model is served without texts, and an error says what to install', async () => {
  const modules = join(mkdtempSync(join(tmpdir(), 'approxifer-')), 'node_modules')
  onTestFinished(() => rmSync(resolve(modules, '..'), { recursive: true }))
  const own = join(modules, 'approxifer')
  for (const part of ['package.json', 'dist']) cpSync(part, join(own, part), { recursive: true })
  symlinkSync(resolve('node_modules/onnxruntime-web'), join(modules, 'onnxruntime-web'), 'dir')
  const { createGateway } = await import(join(own, 'dist/node/gateway.js'))
  const todo = '@huggingface/tokenizers cannot be imported; install it beside approxifer (npm install @huggingface/tokenizers)' // biome-ignore format: one line
  const warnings: string[] = []
  const start = (more: object) => {
    const models = { m: { model: EMBEDDER, workers: 1, ...more } }
    return createGateway({ models, onWarning: (text: string) => warnings.push(text) })
  }
  const gateway = start({})
  await gateway.ready()
  const body = JSON.stringify({ model: 'm', input: 'a' })
  const response = await gateway(new Request('http://test/v1/embeddings', { method: 'POST', body }))
  expect([response.status, (await response.json()).error.message]).toEqual([400, expect.stringContaining(todo)])
  expect(warnings).toEqual([expect.stringContaining(todo)])
  await gateway.close()
  const other = start({ text: {} })
  await expect(other.ready()).rejects.toThrow(todo)
  await other.close()
})
