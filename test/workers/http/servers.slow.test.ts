import { createPredictor, type Predictor } from 'approxifer'
import { type HttpOptions, httpWorkers } from 'approxifer/http'
import { afterEach, describe, expect, it } from 'vitest'
import { PythonServer, python, toyModel, toyQueries } from '../../shared/oip-fleet'
import { type Mode, QuirkServer } from '../../shared/oip-quirks'
import { PATIENCE_MS } from '../../shared/waiting'

const toy = await toyModel()
const queries = toyQueries(200)
const answers = await Promise.all(queries.map((query) => toy.y(query)))
const modes: Mode[] = ['triton', 'kserve', 'mlserver', 'ovms']

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const quirk = async (mode: Mode) => {
  const server = await new QuirkServer(mode, toy).listen()
  closing.push(() => server.kill().catch(() => {}))
  return server
}
const nine = <T>(make: () => Promise<T>) => Promise.all(Array.from({ length: 9 }, make))
const warnings: string[] = []
const scheme = { queries: 4, stragglers: 2, byzantine: 1 } as const

/** Nothing is recovered from memory: every answer is proven, and thereby the model's own. */
async function predictorOf(urls: string[], options: Partial<HttpOptions> = {}): Promise<Predictor> {
  const onWarning = (text: string) => warnings.push(text)
  warnings.length = 0
  const workers = httpWorkers(urls, { model: 'toy', outputs: ['y'], onWarning, ...options })
  const predictor = await createPredictor({ scheme, workers, onWarning, policy: 'retry', deadlineMs: PATIENCE_MS })
  closing.push(() => predictor.close())
  return predictor
}

/** Every query is answered, and every answer is the model's, but for the last bits. */
async function answersAll(predictor: Predictor, count = queries.length) {
  const predictions = await predictor.predictAll(queries.slice(0, count))
  for (const [i, { output }] of predictions.entries()) {
    for (const [j, value] of output.y.data.entries()) expect(value).toBeCloseTo(answers[i][j], 3)
  }
  return predictions
}

describe.each(modes)('nine servers as %s', (mode) => {
  it('right answers, binary where the server announces it', async () => {
    const servers = await nine(() => quirk(mode))
    const predictor = await predictorOf(servers.map(({ url }) => url))
    const predictions = await answersAll(predictor)
    expect(predictions.map(({ status }) => status).filter((status) => status === 'unverified')).toEqual([])
    const seen = servers.flatMap((server) => server.seen.filter(({ status, path }) => status === 200 && path.endsWith('/infer'))) // biome-ignore format: one line
    const binary = seen.filter(({ headers }) => headers['inference-header-content-length'] !== undefined)
    expect(binary.length).toBe(mode === 'triton' ? seen.length : 0)
    for (const { path, headers } of servers.flatMap(({ seen }) => seen)) {
      expect(path).not.toMatch(/versions|\/$/)
      expect(headers['accept-encoding']).toBe('identity')
    }
    expect(warnings).toEqual([])
  })

  it('one stopped, one lying, one answering 500: all queries survive', async () => {
    const servers = await nine(() => quirk(mode))
    const predictor = await predictorOf(servers.map(({ url }) => url))
    await answersAll(predictor, 20)
    await servers[0].kill()
    const lies = toy.run
    servers[1].model = {
      ...toy,
      run: async (inputs, rows) => (await lies(inputs, rows)).map((output) => ({ ...output, values: output.values.map((value) => 5 - 3 * value) })), // biome-ignore format: one line
    }
    servers[2].instead = (_request, response) => Boolean(response.writeHead(500).end('{"error":"on purpose"}'))
    await answersAll(predictor)
    await answersAll(predictor)
  })
})

describe.skipIf(!python)('nine servers in Python, with another runtime', () => {
  it('right answers, all binary; then one stopped, one lying and one answering 500 in turn', async () => {
    const servers = await nine(() => PythonServer.start())
    closing.push(() => Promise.all(servers.map((server) => server.stop())))
    const predictor = await predictorOf(servers.map(({ url }) => url))
    await answersAll(predictor)
    const counts = await Promise.all(servers.map((server) => server.counts()))
    expect(counts.map(({ json }) => json)).toEqual(new Array(9).fill(0))
    expect(counts.reduce((sum, { binary }) => sum + binary, 0)).toBeGreaterThan(queries.length)
    for (const turn of [0, 3, 6]) {
      servers[turn].process.kill('SIGSTOP')
      await servers[turn + 1].fault('lie')
      await servers[turn + 2].fault('500')
      await answersAll(predictor)
      servers[turn].process.kill('SIGCONT')
      await servers[turn + 1].fault('none')
      await servers[turn + 2].fault('none')
    }
    await servers[4].stop()
    await answersAll(predictor)
  })

  it('all in JSON, where that is asked for', async () => {
    const servers = await nine(() => PythonServer.start())
    closing.push(() => Promise.all(servers.map((server) => server.stop())))
    const predictor = await predictorOf(
      servers.map(({ url }) => url),
      { binary: false },
    )
    await answersAll(predictor, 50)
    const counts = await Promise.all(servers.map((server) => server.counts()))
    expect(counts.map(({ binary }) => binary)).toEqual(new Array(9).fill(0))
  })
})
