/** HTTP workers by what the runtime has for HTTP, and servers that do what servers do. */

import { createPredictor, type PredictorOptions } from 'approxifer'
import { type HttpOptions, httpWorker, httpWorkers } from 'approxifer/http'
import { afterEach, describe, expect, inject, it } from 'vitest'
import { ask, contract } from '../shared/worker-contract'

const { control } = inject('servers')
const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** URLs of servers of its own for a test, each of which does one of these. */
function serversThat(...does: string[]): Promise<string[]> {
  const start = async (what: string) => {
    const url = await (await fetch(`${control}/start?does=${what}`)).text()
    ends.push(() => stop(url))
    return url
  }
  return Promise.all(does.map(start))
}
const stop = (url: string) => fetch(`${control}/stop?url=${url}`)

async function predictorOn(urls: string[], options: PredictorOptions = {}, http: Partial<HttpOptions> = {}) {
  const workers = httpWorkers(urls, { model: 'm', concurrency: 2, onWarning() {}, ...http })
  const predictor = await createPredictor({ workers, onWarning() {}, ...options })
  ends.push(() => predictor.close())
  return predictor
}

const queries = Array.from({ length: 40 }, (_, i) => ask('answer', i + 1))
const expected = queries.map(([, x]) => [x + 1, 2 * x])
const valuesOf = (answers: { output: Record<string, { data: ArrayLike<unknown> }> }[]) =>
  answers.map(({ output }) => [...Array.from(output.y.data)])

contract('a server over HTTP', {
  async start() {
    const [url] = await serversThat('answers')
    return httpWorker(url, { model: 'm', concurrency: 3, onWarning() {} })
  },
  deaths: ['dies', 'exits'],
})

describe('a predictor on HTTP servers', () => {
  it.each([
    ['raw bytes', true],
    ['JSON', false],
  ] as const)('in %s: every answer is exact', async (_, binary) => {
    const predictor = await predictorOn(await serversThat('answers', 'answers'), {}, { binary })
    const answers = await predictor.predictAll(queries)
    expect(valuesOf(answers)).toEqual(expected)
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set(['exact']))
  })

  it.each(['hangs', 'fails', 'is busy', 'talks garbage'])('one of three %s: every query is answered', async (does) => {
    const predictor = await predictorOn(await serversThat('answers', 'answers', does), { hangMs: 500 })
    expect(valuesOf(await predictor.predictAll(queries))).toEqual(expected)
  })

  it('one that is gone: the others answer, and a warning names it', async () => {
    const [there, gone] = await serversThat('answers', 'answers')
    await stop(gone)
    const warnings: string[] = []
    const predictor = await predictorOn([there, gone], {}, { onWarning: (text) => warnings.push(text) })
    expect(valuesOf(await predictor.predictAll(queries))).toEqual(expected)
    expect(warnings.join()).toContain(new URL(gone).host)
  })

  it('one that goes while it is asked: every query is answered', async () => {
    const [there, goes] = await serversThat('answers', 'answers')
    const predictor = await predictorOn([there, goes], { hangMs: 500 })
    const answers = predictor.predictAll(queries)
    await stop(goes)
    expect(valuesOf(await answers)).toEqual(expected)
    expect(valuesOf(await predictor.predictAll(queries))).toEqual(expected)
  })

  it('one of four lies: no lie is given, and it is ejected', async () => {
    const urls = await serversThat('answers', 'answers', 'answers', 'lies')
    const predictor = await predictorOn(urls, { scheme: { queries: 1, byzantine: 1 } })
    expect(valuesOf(await predictor.predictAll(queries))).toEqual(expected)
    const ejected = predictor.stats().workers.filter(({ ejections }) => ejections)
    expect(ejected.map(({ worker }) => worker)).toEqual([new URL(urls[3]).host])
  })

  it('all hang: a query fails by its deadline', async () => {
    const predictor = await predictorOn(await serversThat('hangs', 'hangs'), { deadlineMs: 300 })
    await expect(predictor.predict(queries[0])).rejects.toMatchObject({ code: 'DEADLINE' })
  })

  it('all fail: the error has what the server said', async () => {
    const predictor = await predictorOn(await serversThat('fails', 'fails'))
    await expect(predictor.predict(queries[0])).rejects.toMatchObject({
      code: 'WORKER',
      message: expect.stringContaining('out of order'),
    })
  })

  it('none is there: the start fails with the reason', async () => {
    const [url] = await serversThat('answers')
    await stop(url)
    await expect(predictorOn([url], {}, { timeoutMs: 300 })).rejects.toMatchObject({ code: 'WORKER' })
  })

  it('an abort ends a query at once, and the next is answered', async () => {
    const predictor = await predictorOn(await serversThat('answers', 'hangs'), { hedge: false })
    const abort = new AbortController()
    const open = queries.slice(0, 8).map((query) => predictor.predict(query, { signal: abort.signal }))
    abort.abort()
    for (const query of open) await expect(query).rejects.toMatchObject({ code: 'ABORTED', name: 'AbortError' })
  })

  it('a model that the server does not have: the start fails with its name', async () => {
    const urls = await serversThat('answers')
    await expect(predictorOn(urls, {}, { model: 'other', timeoutMs: 300 })).rejects.toMatchObject({
      message: expect.stringContaining('other'),
    })
  })

  it('close ends what is open, and may be called twice', async () => {
    const predictor = await predictorOn(await serversThat('hangs'))
    const open = predictor.predict(queries[0])
    const closed = predictor.close()
    await expect(open).rejects.toMatchObject({ code: 'CLOSED' })
    await closed
    await predictor.close()
  })
})
