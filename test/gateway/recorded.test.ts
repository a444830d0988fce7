/** What NVIDIA's and KServe's clients were recorded to send, to a gateway with the model itself. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serveGateway, type TestServer } from '../shared/http-server'
import { content, exchange, type HttpMessage, recorded, withJson } from '../shared/recorded-http'

// The output idx is INT64, which is neither coded nor served: it is left out of the model, and of what the clients ask for.
const models = { toy: { model: 'test/oip/toy.onnx', onnx: { outputs: ['y'] }, workers: 2 } }
const packFrom = 1 // as the recorded server, which packs the smallest reply
let server: TestServer
beforeAll(async () => {
  server = await serveGateway({ models, packFrom })
})
afterAll(() => server?.close())

/** What the model answers, by KServe's own server. */
const numbers: number[] = recorded('server-kserve/014.response').flatMap((reply) => {
  const y = content(reply).json.outputs?.find(({ name }: { name: string }) => name === 'y')
  return y?.shape[0] === 3 ? [y.data] : []
})[0]

const isIdx = ({ name }: { name: string }) => name === 'idx'

function withoutIdx(request: HttpMessage): HttpMessage {
  const { json } = content(request)
  if (!json?.outputs?.some(isIdx)) return request
  return withJson(request, { ...json, outputs: json.outputs.filter((output: { name: string }) => !isIdx(output)) })
}

/** A reply as far as it does not depend on the machine: of tensors all but the numbers. */
function told(reply: HttpMessage) {
  const { start, headers } = reply
  const { json, binary } = content(reply)
  const { parameters: _, inputs, outputs, ...rest } = json
  return {
    status: Number(start.split(' ')[1]),
    type: headers['content-type'],
    packed: headers['content-encoding'],
    ...(json.error ? { error: typeof json.error } : rest),
    ...(json.name === 'ref' && { name: 'approxifer', version: 'unknown' }),
    ...(json.ready && { live: undefined }), // the recorded one says both at once
    inputs,
    outputs: outputs
      ?.filter((output: { name: string }) => !isIdx(output))
      .map(({ data, ...output }: any) => ({ ...output, data: !!data })),
    bytes: binary.length > 0,
  }
}

function valuesOf(reply: HttpMessage): number[] {
  const { json, binary } = content(reply)
  if (json.outputs[0].data) return json.outputs[0].data
  return [...new Float32Array(new Uint8Array(binary).buffer)]
}

describe.each([
  ['NVIDIA’s Python client', 'triton/000'],
  ['KServe’s REST client', 'kserve/000'],
  ['KServe’s REST client, metadata', 'kserve/001'],
])('%s', (_, path) => {
  const requests = recorded(`${path}.request`)
  const wanted = recorded(`${path}.response`)

  it(`gets ${wanted.length} replies as recorded: status, headers, names, types, shapes, sizes`, async () => {
    const replies = await exchange(server.port, requests.map(withoutIdx))
    expect(replies.map(told)).toEqual(wanted.map(told))
    const answered = replies.filter((reply) => content(reply).json.outputs && content(reply).json.model_name)
    expect(answered.length).toBe(wanted.filter((reply) => content(reply).json.model_name).length)
    for (const reply of answered) {
      const values = valuesOf(reply)
      expect(values.length).toBe(9)
      values.forEach((value, i) => expect(value).toBeCloseTo(numbers[i], 4))
      const { status } = content(reply).json.parameters
      expect(status).toHaveLength(3)
    }
  })
})

it('an output that is not served is a 400 that names those that are', async () => {
  const asks = recorded('triton/000.request').filter((request) => content({ ...request }).json?.outputs?.some(isIdx))
  expect(asks.length).toBeGreaterThan(4)
  const replies = await exchange(server.port, asks)
  const about = replies.map((reply) => [reply.start.split(' ')[1], content(reply).json.error])
  expect(about).toContainEqual(['400', `outputs[1].name: expected 'y', got "idx"`])
  expect(about.every(([status]) => status === '400' || status === '404')).toBe(true)
})
