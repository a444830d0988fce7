import { createGateway, type GatewayModel } from 'approxifer/gateway'
import { describe, expect, it } from 'vitest'
import { answerOf, inputOf, model, post, refusal, request, started } from '../shared/started-gateway'

describe('paths', () => {
  it('metadata and health, with bodies, and versions', async () => {
    const { gateway } = await started(
      { server: { version: '1.2' } },
      { m: model(), 'a b/ü': { ...model(), version: '3' } as GatewayModel },
    )
    const get = async (path: string) => (await answerOf(gateway, request(path))).json
    expect(await get('/v2')).toEqual({ name: 'approxifer', version: '1.2', extensions: ['binary_tensor_data'] })
    expect(await get('/v2/')).toEqual(await get('/v2'))
    expect(await get('/v2/health/live')).toEqual({ live: true })
    expect(await get('/v2/health/ready')).toEqual({ ready: true })
    const metadata = {
      name: 'm',
      versions: ['1'],
      platform: 'onnx_onnxv1',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
    }
    expect(await get('/v2/models/m')).toEqual(metadata)
    expect(await get('/v2/models/m/versions/1')).toEqual(metadata)
    const odd = encodeURIComponent('a b/ü')
    expect(await get(`/v2/models/${odd}/versions/3/ready`)).toEqual({ name: 'a b/ü', ready: true })
    expect((await get(`/v2/models/${odd}`)).versions).toEqual(['3'])
    const head = await gateway(request('/v2/health/live', { method: 'HEAD' }))
    expect([head.status, await head.text(), head.headers.get('content-length')]).toEqual([200, '', '13'])
    await gateway.close()
  })

  it('what is not there is 404, another method 405 with Allow, always with a sentence', async () => {
    const { gateway, events } = await started()
    for (const path of [
      '/',
      '/v1',
      '/v2/x',
      '/v2/models',
      '/v2/models/m/',
      '/v2/models//ready',
      '/v2/models/m/infer/',
      '/v2/models/m/versions/1/x',
    ]) {
      const [status, error] = await refusal(gateway, request(path))
      expect([path, status]).toEqual([path, 404])
      expect(error).toMatch(/expected .*, got /)
    }
    for (const path of [
      '/v2/models/no',
      '/v2/models/no/ready',
      '/v2/models/__proto__',
      '/v2/models/constructor/ready',
    ]) {
      expect((await refusal(gateway, request(path)))[1]).toMatch(/the model: expected 'm', got/)
    }
    expect(await refusal(gateway, request('/v2/models/m/versions/2'))).toEqual([
      404,
      `the version of model 'm': expected '1', got "2"`,
    ])
    expect((await refusal(gateway, request('/v2/models/%E0%A4%A/ready')))[0]).toBe(400)
    const wrong = await answerOf(gateway, request('/v2/models/m/infer'))
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST'])
    const alsoWrong = await answerOf(gateway, request('/v2', { method: 'DELETE' }))
    expect([alsoWrong.status, alsoWrong.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
    expect(new Set(events.map(({ status }) => status))).toEqual(new Set([400, 404, 405]))
    await gateway.close()
  })
})

it('an observer or a warning that throws harms nobody', async () => {
  const boom = () => {
    throw new Error('boom')
  }
  const { gateway } = await started({ observe: boom, onWarning: boom })
  expect((await gateway(post(inputOf(1)))).status).toBe(200)
  await gateway.close()
})

it('misspelt and wrong options are told at once', () => {
  const models = {}
  const wrong: [object, RegExp][] = [
    [{ models, observ: 1 }, /observ: expected 'observe'/],
    [{ models, maxBytes: 0 }, /maxBytes: expected an integer/],
    [{ models, server: { nam: '' } }, /server.nam: expected 'name'/],
    [{}, /models: expected models by name/],
    [{ models: { m: 1 } }, /models: expected options of a predictor/],
    [{ models: { m: { version: 2 } } }, /version: expected a string/],
    [{ models: { '': model() } }, /name: expected a model's name/],
  ]
  for (const [options, sentence] of wrong)
    expect(() => createGateway(options as Parameters<typeof createGateway>[0])).toThrow(sentence)
})
