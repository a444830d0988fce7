import { createPredictor } from 'approxifer'
import { httpWorkers } from 'approxifer/http'
import { expect, inject, it } from 'vitest'

const { gateway, foreign, closed, headless, gone } = inject('http')
const model = new URL('../../models/mnist-lenet.onnx', import.meta.url)
const image = (i: number) => Float32Array.from({ length: 784 }, (_, j) => ((i + 1) * (j % 28)) / 100)

async function answersOf(urls: string[], model = 'digits') {
  const warnings: string[] = []
  const workers = httpWorkers(urls, { model, onWarning: (text) => warnings.push(text) })
  const predictor = await createPredictor({ workers, onWarning: (text) => warnings.push(text) })
  const answers = await predictor.predictAll([0, 1, 2].map(image))
  await predictor.close()
  expect(warnings).toEqual([])
  return answers.map(({ status, output }) => [status, ...Object.values(output)[0].data])
}

it('a page has HTTP workers at serve --cors *', async () => {
  const answers = await answersOf([gateway])
  expect(answers.map(([status, ...values]) => [status, values.length])).toEqual(Array(3).fill(['exact', 10]))
})

it('and at a server of other makers that lets pages send a content type, and no more', async () => {
  expect(await answersOf([foreign])).toEqual(await answersOf([gateway]))
})

const HEADERS =
  'Access-Control-Allow-Headers: content-type, inference-header-content-length; Access-Control-Expose-Headers: inference-header-content-length'
const DEMAND = `its replies must have Access-Control-Allow-Origin: ${origin}`
const CLOSED = `a server answers there, and does not allow pages of ${origin} (CORS): ${DEMAND}`
const GONE =
  'no server answers there: it is down, or its address or certificate is wrong, or other origins may not reach it (Cross-Origin-Resource-Policy, or a permission for the local network)'

it('the error of a server names it, says whether it is gone or allows no pages, and what it must send', async () => {
  const failed = async (url: string) => {
    const workers = httpWorkers([url], { model: 'digits', timeoutMs: 1000, onWarning() {} })
    const { message } = await createPredictor({ workers, onWarning() {} }).catch((error) => error)
    return message.slice(message.indexOf(new URL(url).host)).replace(`${new URL(url).host} cannot be reached: `, '')
  }
  const headers = `${DEMAND}; ${HEADERS} (approxifer serve: --cors ${origin})`
  expect(await Promise.all([closed, headless, gone].map(failed))).toEqual([
    CLOSED.replace(DEMAND, headers),
    `a server answers there, and allows pages of ${origin}, but not what they send (CORS): ${headers}`,
    GONE,
  ])
})

it('a server that allows no pages is told from one that is gone, also where a model or its runtime are loaded from it', async () => {
  const createWorker = () => new Worker(new URL('../../dist/worker.web.js', import.meta.url), { type: 'module' })
  const failed = async (model: URL | string, wasmPaths?: string) => {
    const onnx = { createWorker, ...(wasmPaths && { wasmPaths }) }
    return (await createPredictor({ model, workers: 1, onnx }).catch((error) => error)).message
  }
  expect(await failed(`${closed}/a.onnx`)).toBe(`the model '${closed}/a.onnx' cannot be read: ${CLOSED}`)
  expect(await failed(`${gone}/a.onnx`)).toBe(`the model '${gone}/a.onnx' cannot be read: ${GONE}`)
  expect(await failed(model, `${closed}/`)).toBe(`the runtime cannot be loaded from '${closed}/': ${CLOSED}`)
})
