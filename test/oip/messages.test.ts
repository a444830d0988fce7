import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tensorsOf, vectorOf } from '../../src/base/payload'
import type { Signature, TensorSpec } from '../../src/base/tensor'
import { readMessage, readReply, readRequest } from '../../src/oip/read'
import { type Encoded, encode, type TensorRows, writeReply, writeRequest } from '../../src/oip/write'
import { messageOf, signature as one } from '../shared/oip-messages'

const reread = ({ body, headerLength }: Encoded) => readMessage(body, headerLength?.toString())
const f32 = fc.float({ noNaN: true, noDefaultInfinity: true })
/** A signature with names that nobody should choose, and rows for it. */
const specs = fc
  .uniqueArray(fc.constantFrom('x', 'data', '__proto__', 'constructor', 'ä "\\', 'inputs', ''), {
    minLength: 1,
    maxLength: 4,
  })
  .chain((names) =>
    fc.tuple(
      ...names.map((name) =>
        fc.record({ name: fc.constant(name), shape: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 }) }),
      ),
    ),
  ) as fc.Arbitrary<TensorSpec[]>
const lengthOf = (all: readonly TensorSpec[]) =>
  all.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
const filled = (length: number) =>
  fc.array(f32, { minLength: length, maxLength: length }).map((all) => Float32Array.from(all))

/** A query's row again, of the tensors that `readRequest` gives. */
function rowOf(query: unknown, inputs: readonly TensorSpec[]): number[] {
  if (query instanceof Float32Array) return [...query]
  const named = new Map(Object.entries(query as Record<string, Float32Array>))
  return inputs.flatMap(({ name }) => [...(named.get(name) as Float32Array)])
}

describe('messages of the Open Inference Protocol', () => {
  it('a request comes out as it went in: JSON and binary, any names and shapes', async () => {
    const cases = specs.chain((inputs) =>
      fc.tuple(
        fc.constant(inputs),
        fc.array(filled(lengthOf(inputs)), { minLength: 1, maxLength: 5 }),
        fc.boolean(),
        fc.option(fc.string(), { nil: undefined }),
      ),
    )
    await fc.assert(
      fc.asyncProperty(cases, async ([inputs, rows, binary, id]) => {
        const signature = { inputs, outputs: one.outputs }
        const request = readRequest(
          await reread(
            await writeRequest(signature, {
              queries: rows.map((row) => tensorsOf(row, inputs)),
              binary,
              id,
              parameters: { policy: 'auto' },
            }),
          ),
          signature,
        )
        const got = request.queries.map((query) => rowOf(query, inputs))
        expect(got).toEqual(rows.map((row) => [...row]))
        expect(request).toMatchObject({ outputs: [{ name: 'y', binary }], parameters: { policy: 'auto' } })
        expect(request.id).toBe(id)
      }),
    )
  })

  it('a reply comes out as it went in: JSON, binary and both, outputs in any order', async () => {
    const cases = specs.chain((outputs) =>
      fc.tuple(
        fc.constant(outputs),
        fc.shuffledSubarray(outputs, { minLength: outputs.length }),
        fc.array(fc.tuple(...outputs.map((spec) => filled(lengthOf([spec])))), { minLength: 1, maxLength: 4 }),
        fc.array(fc.boolean(), { minLength: outputs.length, maxLength: outputs.length }),
      ),
    )
    await fc.assert(
      fc.asyncProperty(cases, async ([outputs, order, rows, binary]) => {
        const sent = outputs.map(
          (spec, i): TensorRows => ({ ...spec, binary: binary[i], rows: rows.map((row) => row[i]) }),
        )
        const asSent = order.map((spec) => sent[outputs.indexOf(spec)])
        const reply = await encode(
          writeReply({ model: 'm', version: '7', id: 'a', parameters: { k: [1] }, outputs: asSent }),
        )
        expect(reply.headerLength === undefined).toBe(!binary.includes(true))
        const read = readReply(await reread(reply), { outputs }, rows.length)
        expect(read.answers.map((answer) => [...vectorOf(answer)])).toEqual(
          rows.map((row) => row.flatMap((tensor) => [...tensor])),
        )
        expect(read).toMatchObject({ id: 'a', version: '7', parameters: { k: [1] } })
      }),
    )
  })

  it('golden bytes: little-endian, inputs in order, each output told how it is wanted', async () => {
    const two: Signature = {
      inputs: [
        { name: 'a', shape: [] },
        { name: 'b', shape: [2] },
      ],
      outputs: one.outputs,
    }
    const { body, headerLength } = await writeRequest(two, {
      id: '7',
      queries: [Float32Array.of(1, 2, -0.5), Float32Array.of(3, 4, 5)].map((row) => tensorsOf(row, two.inputs)),
      binary: true,
    })
    const json =
      '{"id":"7","parameters":{"binary_data_output":true},"outputs":[{"name":"y","parameters":{"binary_data":true}}],' +
      '"inputs":[{"name":"a","datatype":"FP32","shape":[2],"parameters":{"binary_data_size":8}},' +
      '{"name":"b","datatype":"FP32","shape":[2,2],"parameters":{"binary_data_size":16}}]}'
    expect(headerLength).toBe(json.length)
    expect(new TextDecoder().decode(body.subarray(0, headerLength))).toBe(json)
    expect(Buffer.from(body.subarray(headerLength)).toString('hex')).toBe(
      '0000803f00004040' + '00000040000000bf' + '000080400000a040',
    )
  })

  it('raw tensors at any offset, also of a Buffer, which cannot be copied as other arrays', async () => {
    const rows = [Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8)]
    for (const pad of ['', ' ', '  ', '   ']) {
      const { body, headerLength = 0 } = await writeRequest(one, {
        queries: rows.map((row) => tensorsOf(row, one.inputs)),
        binary: true,
        id: pad,
      })
      const request = readRequest(await readMessage(Buffer.from(body), String(headerLength)), one)
      expect(request.queries).toEqual(rows)
    }
  })

  it('values flat or nested as the shape, and in any place of the object', async () => {
    const flat = [1, 2, 3, 4, 5, 6, 7, 8]
    for (const data of [flat, [flat]]) {
      const { queries } = readRequest(
        await messageOf({ inputs: [{ data, shape: [1, 8], name: 'x', datatype: 'FP32' }] }),
        one,
      )
      expect(queries).toEqual([Float32Array.from(flat)])
    }
  })

  it('outputs: those listed in their order and as JSON unless they say otherwise, else all as the request says', async () => {
    const signature: Signature = { ...one, outputs: [...one.outputs, { name: 'z', shape: [1] }] }
    const inputs = [{ name: 'x', shape: [1, 8], datatype: 'FP32', data: Array(8).fill(0) }]
    const outputs = async (extra: object) => readRequest(await messageOf({ inputs, ...extra }), signature).outputs
    const [y, z] = [
      { name: 'y', binary: false },
      { name: 'z', binary: false },
    ]
    expect(await outputs({})).toEqual([y, z])
    expect(await outputs({ outputs: null, parameters: null, id: null })).toEqual([y, z])
    expect(await outputs({ parameters: { binary_data_output: true } })).toEqual([
      { ...y, binary: true },
      { ...z, binary: true },
    ])
    const listed = [{ name: 'z', parameters: { binary_data: true } }, { name: 'y' }]
    expect(await outputs({ outputs: listed, parameters: { binary_data_output: true } })).toEqual([
      { ...z, binary: true },
      y,
    ])
  })
})
