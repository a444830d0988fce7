/** Models of every element type behind a gateway, and what it says where their answers have no common shape. */

import { describe, expect, it } from 'vitest'
import type { Signature, TensorList } from '../../src/base/tensor'
import { readMessage, readReply } from '../../src/oip/read'
import { HEADER_LENGTH, writeRequest } from '../../src/oip/write'
import { echoGateway } from '../shared/echo'
import { bitsOfAll, everyType, everyValue } from '../shared/element-values'

const url = 'http://test/v2/models/m/infer'
const ask = async (fetch: typeof globalThis.fetch, signature: Signature, queries: TensorList[], binary: boolean) => {
  const { body, headerLength } = await writeRequest(signature, { queries, binary })
  const headers = headerLength === undefined ? undefined : { [HEADER_LENGTH]: String(headerLength) }
  const response = await fetch(url, { method: 'POST', body: body as BodyInit, ...(headers && { headers }) })
  const bytes = new Uint8Array(await response.arrayBuffer())
  return readReply(await readMessage(bytes, response.headers.get(HEADER_LENGTH)), signature, queries.length)
}

describe.each([
  [true, true, true],
  [true, false, true],
  [false, true, true],
  [false, false, true],
  [true, true, false],
  [false, true, false],
])('every type (binary: %s, lengths that differ: %s, batched: %s)', (binary, isOpen, batched) => {
  it('comes to the model and back as it was sent, to the bit', async () => {
    const signature: Signature = { ...everyType(isOpen), ...(!batched && { batched }) }
    const { fetch, asked } = await echoGateway(signature)
    const queries = Array.from({ length: batched ? 3 : 1 }, (_, row) => everyValue(row))
    const reply = await ask(fetch, signature, queries, binary)
    expect(asked.map(bitsOfAll)).toEqual(queries.map(bitsOfAll))
    expect(reply.answers.map(bitsOfAll)).toEqual(queries.map(bitsOfAll))
  })
})

const words: Signature = {
  inputs: [{ name: 'x', shape: [-1], type: 'int64' }],
  outputs: [
    { name: 'n', shape: [-1], type: 'int64' },
    { name: 'word', shape: [-1], type: 'string' },
  ],
}
const post = async (fetch: typeof globalThis.fetch, json: unknown) => {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(json) })
  return { status: response.status, json: await response.json() }
}

describe('rows of one reply', () => {
  /** As many values as the query's first one says. */
  const counting = (query: TensorList): TensorList => {
    const [first] = query[0].data as BigInt64Array
    if (first < 0) throw new Error('no such number')
    const shape = [Number(first)]
    return [
      { data: new BigInt64Array(shape[0]).fill(first), shape, type: 'int64' },
      { data: Array.from({ length: shape[0] }, () => 'w'), shape, type: 'string' },
    ]
  }
  const input = (data: number[], parameters?: object) => {
    return { parameters, inputs: [{ name: 'x', shape: [data.length, 1], datatype: 'INT64', data }] }
  }

  it('have the shape that the answers have', async () => {
    const { fetch } = await echoGateway(words, counting)
    const { status, json } = await post(fetch, input([2, 2]))
    expect(status).toBe(200)
    expect(json.outputs).toEqual([
      { name: 'n', datatype: 'INT64', shape: [2, 2], data: [2, 2, 2, 2] },
      { name: 'word', datatype: 'BYTES', shape: [2, 2], data: ['w', 'w', 'w', 'w'] },
    ])
  })

  it('of different shapes are none: the error says what to do', async () => {
    const { fetch } = await echoGateway(words, counting)
    const { status, json } = await post(fetch, input([2, 2, 3]))
    expect([status, json.error]).toEqual([
      400,
      "outputs 'n': expected shape [2] as in row 0, got [3] in row 2; an output has one shape for all rows of a reply: send these rows one by one",
    ])
  })

  it('that failed are zeros and empty strings, of the shape of the others', async () => {
    const { fetch } = await echoGateway(words, counting)
    const { status, json } = await post(fetch, input([-1, 2], { allow_partial: true }))
    expect(status).toBe(200)
    expect(json.parameters.status).toEqual(['failed', 'exact'])
    expect(json.outputs).toEqual([
      { name: 'n', datatype: 'INT64', shape: [2, 2], data: [0, 0, 2, 2] },
      { name: 'word', datatype: 'BYTES', shape: [2, 2], data: ['', '', 'w', 'w'] },
    ])
  })

  it('of another type are refused, by name', async () => {
    const { fetch } = await echoGateway(words, counting)
    const asked = { inputs: [{ name: 'x', shape: [1, 1], datatype: 'FP32', data: [1] }] }
    expect(await post(fetch, asked)).toEqual({
      status: 400,
      json: { error: 'inputs[0].datatype: expected \'INT64\', got "FP32"' },
    })
  })
})
