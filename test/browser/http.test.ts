import { createPredictor } from 'approxifer'
import { httpWorkers } from 'approxifer/http'
import { expect, inject, it } from 'vitest'

const { gateway, foreign, closed } = inject('http')
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

it('where a server allows no page, it is said', async () => {
  const workers = httpWorkers([closed], { model: 'digits', timeoutMs: 1000, onWarning() {} })
  await expect(createPredictor({ workers, onWarning() {} })).rejects.toThrow(
    /cannot be reached: .+ \(CORS; approxifer serve: --cors\)/,
  )
})
