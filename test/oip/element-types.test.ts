/** Every element type, both ways, as JSON and as raw bytes. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { elementTypes } from '../../src/base/element'
import { type Signature, type TensorList, toTensors } from '../../src/base/tensor'
import { datatypeOf } from '../../src/oip/elements'
import { readMetadata, writeMetadata } from '../../src/oip/metadata'
import { readMessage, readReply, readRequest } from '../../src/oip/read'
import { type Encoded, encode, writeReply, writeRequest } from '../../src/oip/write'
import { bitsOf, bitsOfAll, everyType, everyValue, halves } from '../shared/element-values'
import { messageOf } from '../shared/oip-messages'

const reread = ({ body, headerLength }: Encoded) => readMessage(body, headerLength?.toString())
/** A few, which are read at once, and so many that they are read in slices. */
const counts = [1, 3, 700]
const forms = [true, false].flatMap((binary) => [true, false].map((isOpen) => [binary, isOpen] as const))

describe.each(forms)('every type (binary: %s, lengths that differ: %s)', (binary, isOpen) => {
  const signature = everyType(isOpen)

  it.each(counts)('a request with %i rows comes out as it went in, to the bit', async (count) => {
    const queries = Array.from({ length: count }, (_, row) => everyValue(row))
    const request = readRequest(await reread(await writeRequest(signature, { queries, binary })), signature)
    const read = request.queries.map((query) => bitsOfAll(toTensors(query, signature.inputs)))
    expect(read).toEqual(queries.map(bitsOfAll))
  })

  it.each(counts)('a reply with %i rows comes out as it went in, to the bit', async (count) => {
    const answers = Array.from({ length: count }, (_, row) => everyValue(row))
    const outputs = signature.outputs.map((spec, i) => {
      return { ...spec, shape: [2, 5], binary, rows: answers.map((answer) => answer[i].data) }
    })
    const reply = readReply(
      await reread(await encode(writeReply({ model: 'm', version: '1', outputs }))),
      signature,
      count,
    )
    expect(reply.answers.map(bitsOfAll)).toEqual(answers.map(bitsOfAll))
  })

  it('a model without a batch dimension gets and gives whole tensors', async () => {
    const whole: Signature = { ...signature, batched: false }
    const sent = await writeRequest(whole, { queries: [everyValue()], binary })
    const message = await reread(sent)
    expect((message.json as { inputs: { shape: number[] }[] }).inputs.map(({ shape }) => shape)).toEqual(
      elementTypes.map(() => [2, 5]),
    )
    const { queries } = readRequest(message, whole)
    expect(queries.map((query) => bitsOfAll(toTensors(query, whole.inputs)))).toEqual([bitsOfAll(everyValue())])
    const outputs = whole.outputs.map((spec, i) => {
      return { ...spec, shape: [2, 5], binary, batched: false, rows: [everyValue()[i].data] }
    })
    const reply = readReply(await reread(await encode(writeReply({ model: 'm', version: '1', outputs }))), whole, 1)
    expect(reply.answers.map(bitsOfAll)).toEqual([bitsOfAll(everyValue())])
  })
})

const one = (type?: TensorSpecType, shape: readonly number[] = [-1]): Signature => {
  const spec = { name: 'x', shape, ...(type && { type }) }
  return { inputs: [spec], outputs: [{ ...spec, name: 'y' }] }
}
type TensorSpecType = (typeof elementTypes)[number]
const read = async (signature: Signature, json: unknown, binary?: Uint8Array<ArrayBuffer>) => {
  const { queries } = readRequest(await messageOf(json, binary), signature)
  return queries.map((query) => toTensors(query, signature.inputs)[0].data)
}

describe('as JSON', () => {
  it('integers of 64 bits are exact wherever the datatype stands, also where the document is long', async () => {
    const values = '[9223372036854775807,-9223372036854775808,9007199254740993,-9007199254740993,0,-0,7.0,1e3]'
    const exact = [2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n, -(2n ** 53n) - 1n, 0n, 0n, 7n, 1000n]
    for (const pad of ['', ' '.repeat(70_000)]) {
      for (const [before, behind] of [
        ['"datatype":"INT64",', ''],
        ['', ',"datatype":"INT64"'],
      ]) {
        const json = `{"inputs":[{"name":"x","shape":[1,8],${before}"data":[${pad.slice(0, 60_000)}${values.slice(1)}${behind}}]${pad.slice(0, 9000)}}`
        expect(await read(one('int64'), json)).toEqual([BigInt64Array.from(exact)])
      }
    }
    const json = `{"inputs":[{"name":"x","shape":[1,1],"data":[18446744073709551615],"datatype":"UINT64"}]}`
    expect(await read(one('uint64'), json)).toEqual([BigUint64Array.of(2n ** 64n - 1n)])
  })

  it('each array is read as its own datatype, whatever stood before it', async () => {
    const signature: Signature = {
      inputs: (['float32', 'int64', 'string', 'bool', 'float64'] as const).map((type) => ({
        name: type,
        shape: [-1],
        type,
      })),
      outputs: one().outputs,
    }
    const entry = (name: string, data: string, datatype: string) =>
      `{"name":"${name}","shape":[1,2],"data":${data},"parameters":{"content_type":"x"},"datatype":"${datatype}"}`
    const wide = '[9007199254740993,2]'
    const json = (pad: string) =>
      `{"inputs":[${[entry('float32', '[1,2.5]', 'FP32'), entry('int64', wide, 'INT64'), entry('string', '["a]\\"","\\ud83d\\ude42"]', 'BYTES'), entry('bool', '[true,false]', 'BOOL'), entry('float64', '[0.1,1e300]', 'FP64')]}]${pad}}`
    for (const pad of ['', ' '.repeat(64_000)]) {
      const request = readRequest(await messageOf(json(pad)), signature)
      const [query] = request.queries.map((each) => toTensors(each, signature.inputs).map(({ data }) => data))
      expect(query).toEqual([
        Float32Array.of(1, 2.5),
        BigInt64Array.of(2n ** 53n + 1n, 2n),
        ['a]"', '🙂'],
        Uint8Array.of(1, 0),
        Float64Array.of(0.1, 1e300),
      ])
    }
  })

  it('every half float is itself, and others are rounded to the next, to an even last bit between two', async () => {
    const bits = Array.from({ length: 65_536 }, (_, i) => i).filter((i) => (i & 0x7c00) !== 0x7c00)
    const query: TensorList = [{ data: halves(bits), shape: [bits.length], type: 'float16' }]
    const sent = await writeRequest(one('float16'), { queries: [query], binary: false })
    const [got] = readRequest(await reread(sent), one('float16')).queries
    expect(bitsOf(toTensors(got, one('float16').inputs)[0].data)).toBe(bitsOf(query[0].data))
    const rounded: [number, number][] = [
      [1 + 2 ** -11, 0x3c00],
      [1 + 3 * 2 ** -11, 0x3c02],
      [1 + 2 ** -11 + 2 ** -40, 0x3c01],
      [2 ** -25, 0],
      [1.5 * 2 ** -24, 2],
      [-(2 ** -25) - 2 ** -60, 0x8001],
      [65_519.999, 0x7bff],
      [2047.5 * 2 ** -24 - 2 ** -25, 0x07ff],
    ]
    const data = rounded.map(([value]) => value)
    const json = { inputs: [{ name: 'x', shape: [1, data.length], datatype: 'FP16', data }] }
    expect(bitsOf((await read(one('float16'), json))[0])).toBe(bitsOf(halves(rounded.map(([, bits]) => bits))))
  })

  it('any double and any text is itself, in short and long documents', async () => {
    const doubles = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1 })
    const strings = fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1 })
    const pads = fc.constantFrom(0, 70_000)
    const both = async (type: 'float64' | 'string', data: unknown[], pad: number) => {
      const text = JSON.stringify(data, (_, value) => (Object.is(value, -0) ? '-0' : value)).replaceAll(
        '"-0"',
        type === 'string' ? '"-0"' : '-0',
      )
      const json = `{"inputs":[{"name":"x","shape":[1,${data.length}],"datatype":"${type === 'string' ? 'BYTES' : 'FP64'}","data":[${' '.repeat(pad)}${text.slice(1)}}]}`
      return (await read(one(type), json))[0]
    }
    await fc.assert(fc.asyncProperty(doubles, pads, async (all, pad) => void expect(await both('float64', all, pad)).toEqual(Float64Array.from(all)))) // biome-ignore format: one line
    await fc.assert(fc.asyncProperty(strings, pads, async (all, pad) => void expect(await both('string', all, pad)).toEqual(all))) // biome-ignore format: one line
  })

  it('NaN and Inf are null, which no reader takes for a number', async () => {
    const rows = [Float64Array.of(1, Number.NaN, -Infinity)]
    const outputs = [{ name: 'y', type: 'float64' as const, shape: [3], rows, binary: false }]
    const message = await reread(await encode(writeReply({ model: 'm', version: '1', outputs })))
    expect(() => readReply(message, one('float64'), 1)).toThrow(/expected finite float64 values, got null at 1/)
  })

  it.each(elementTypes)('null is no answer of %s', async (type) => {
    const value = type === 'string' ? '' : type === 'bool' ? true : 1
    const outputs = [{ name: 'y', shape: [1, 3], datatype: datatypeOf(type), data: [value, null, value] }]
    const message = await readMessage(new TextEncoder().encode(JSON.stringify({ outputs })))
    expect(() => readReply(message, one(type), 1)).toThrow(/got null at 1/)
  })
})

describe('as raw bytes', () => {
  it('NaN keeps its bits', async () => {
    const data = new Float64Array(Uint8Array.of(1, 2, 3, 4, 5, 6, 0xf8, 0x7f, 9, 0, 0, 0, 0, 0, 0xf0, 0xff).buffer)
    const sent = await writeRequest(one('float64'), { queries: [[{ data, shape: [2] }]], binary: true })
    const [query] = readRequest(await reread(sent), one('float64')).queries
    expect(bitsOf((query as { data: Float64Array }).data)).toBe(bitsOf(data))
  })

  it('strings stand behind their lengths', async () => {
    const queries = [[{ data: ['ab', '', 'ü'], shape: [3], type: 'string' as const }]]
    const { body, headerLength } = await writeRequest(one('string'), { queries, binary: true })
    expect(Buffer.from(body.subarray(headerLength)).toString('hex')).toBe('02000000' + '6162' + '00000000' + '02000000' + 'c3bc') // biome-ignore format: one line
  })
})

describe('what is of another type is refused, by name', () => {
  const entry = (datatype: string, data: unknown[]) => ({ name: 'x', shape: [1, data.length], datatype, data })
  const raw = (datatype: string, count: number, bytes: number[]) =>
    [{ name: 'x', shape: [1, count], datatype, parameters: { binary_data_size: bytes.length } }, Uint8Array.from(bytes)] as const // biome-ignore format: one line
  const cases: [TensorSpecType, string, object, Uint8Array<ArrayBuffer>?][] = [
    ['int64', 'inputs[0].datatype: expected \'INT64\', got "FP32"', entry('FP32', [1])],
    ['float32', 'inputs[0].datatype: expected \'FP32\', got "BF16"', entry('BF16', [1])],
    ['uint8', 'inputs[0].data: expected uint8 values, got 300 at 1', entry('UINT8', [1, 300])],
    ['uint8', 'inputs[0].data: expected uint8 values, got -1 at 0', entry('UINT8', [-1])],
    ['int8', 'inputs[0].data: expected int8 values, got true at 0', entry('INT8', [true])],
    ['int32', 'inputs[0].data: expected int32 values, got 2147483648 at 0', entry('INT32', [2 ** 31])],
    ['int64', 'inputs[0].data: expected int64 values, got 1.5 at 0', entry('INT64', [1.5])],
    ['int64', 'inputs[0].data: expected int64 values, got null at 1', entry('INT64', [1, null])],
    ['float32', 'inputs[0].data: expected finite float32 values, got a string at 0', entry('FP32', ['x'])],
    ['float16', 'inputs[0].data: expected finite float16 values, got 65520 at 0', entry('FP16', [65_520])],
    ['bool', 'inputs[0].data: expected bool values (true or false), got 1 at 1', entry('BOOL', [true, 1])],
    ['string', 'inputs[0].data: expected strings, got 7 at 1', entry('BYTES', ['a', 7])],
    ['string', 'inputs[0].data: expected strings, got an object at 0', entry('BYTES', [{}])],
    ['bool', 'inputs[0]: expected bool values (0 or 1), got 2 at 1', ...raw('BOOL', 2, [1, 2])],
    ['string', 'inputs[0]: expected 2 strings, each behind its length', ...raw('BYTES', 2, [1, 0, 0, 0, 97])],
    ['string', 'inputs[0]: expected 1 strings, each behind its length', ...raw('BYTES', 1, [9, 0, 0, 0, 97])],
    ['string', 'inputs[0]: expected 1 strings, each behind its length', ...raw('BYTES', 1, [0, 0, 0, 0, 0])],
    ['string', 'inputs[0]: expected strings as UTF-8, got other bytes at 0', ...raw('BYTES', 1, [1, 0, 0, 0, 255])],
    ['int64', "inputs[0].shape: expected [N,?] for 'x', got [1]", { ...entry('INT64', [1]), shape: [1] }],
  ]
  it.each(cases)('%s: %s', async (type, sentence, input, binary) => {
    await expect(read(one(type), { inputs: [input] }, binary)).rejects.toThrow(sentence)
    if (binary) return
    const long = JSON.stringify({ inputs: [input] }).replace('"data":[', `"data":[${' '.repeat(70_000)}`)
    await expect(read(one(type), long)).rejects.toThrow(sentence)
  })

  it('integers beyond 64 bits', async () => {
    for (const text of ['9223372036854775808', '-9223372036854775809', '1e19', '9223372036854775807.5', '1e400']) {
      const json = `{"inputs":[{"name":"x","shape":[1,1],"datatype":"INT64","data":[${text}]}]}`
      await expect(read(one('int64'), json), text).rejects.toThrow(/expected int64 values, got .* at 0/)
    }
  })

  it('arrays as deep as the stack', async () => {
    const data = `${'['.repeat(30_000)}${']'.repeat(30_000)}`
    const json = `{"inputs":[{"name":"x","shape":[1,1],"datatype":"INT64","data":${data}}]}`
    await expect(read(one('int64'), json)).rejects.toThrow('the JSON: expected at most 32 dimensions, got more')
  })

  it('several queries for a model without a batch dimension', async () => {
    const whole: Signature = { ...one('int64', [-1, 2]), batched: false }
    const asked = { name: 'x', shape: [3, 2], datatype: 'INT64', data: [1, 2, 3, 4, 5, 6] }
    expect(await read(whole, { inputs: [asked] })).toEqual([BigInt64Array.of(1n, 2n, 3n, 4n, 5n, 6n)])
    const batch = { ...asked, shape: [1, 3, 2] }
    await expect(read(whole, { inputs: [batch] })).rejects.toThrow(
      "inputs[0].shape: expected [?,2] for 'x', got [1,3,2]",
    )
  })
})

describe('metadata', () => {
  it.each([true, false])('tell types, lengths that differ, and whether there is a batch dimension (%s)', (batched) => {
    const signature: Signature = { ...everyType(true), ...(!batched && { batched }) }
    const json = JSON.parse(JSON.stringify(writeMetadata('m', ['1'], signature)))
    expect(json.inputs[6]).toEqual({ name: 'in_int64', datatype: 'INT64', shape: batched ? [-1, -1, -1] : [-1, -1] })
    expect(readMetadata(json)).toEqual(signature)
  })

  it('a model whose first dimension is fixed, of any input or output, has no batch dimension', () => {
    const tensor = (name: string, shape: unknown[], datatype = 'INT64') => ({ name, datatype, shape })
    const json = { inputs: [tensor('x', [-1, 3])], outputs: [tensor('y', ['1000'])] }
    const [x, y] = [
      { name: 'x', shape: [-1, 3], type: 'int64' },
      { name: 'y', shape: [1000], type: 'int64' },
    ]
    expect(readMetadata(json)).toEqual({ inputs: [x], outputs: [y], batched: false })
    expect(readMetadata({ ...json, outputs: [tensor('y', [])] }).batched).toBe(false)
    expect(readMetadata({ ...json, outputs: [tensor('y', [1, 4])] })).toEqual({
      inputs: [{ ...x, shape: [3] }],
      outputs: [{ ...y, shape: [4] }],
    })
  })
})
