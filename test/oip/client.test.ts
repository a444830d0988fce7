import { describe, expect, it } from 'vitest'
import { datatypes } from '../../src/oip/elements'
import { readMetadata, writeMetadata } from '../../src/oip/metadata'
import { readError, readReply } from '../../src/oip/read'
import { bytesOf, messageOf, signature as one } from '../shared/oip-messages'
import { listOf } from '../shared/vectors'

describe('as a client', () => {
  const output = { name: 'y', shape: [2, 3], datatype: 'FP32', data: [1, 2, 3, 4, 5, 6] }
  const read = async (json: unknown, binary?: Uint8Array<ArrayBuffer>, rows = 2) =>
    readReply(await messageOf(json, binary), one, rows)

  it('steps over outputs of other datatypes by their bytes', async () => {
    const widths = Object.entries(datatypes).filter(([, width]) => width)
    for (const [datatype, width] of widths as [string, number][]) {
      const other = { name: 'idx', shape: [2], datatype, parameters: { binary_data_size: 2 * width } }
      const y = { name: 'y', shape: [1, 3], datatype: 'FP32', parameters: { binary_data_size: 12 } }
      const binary = new Uint8Array([
        ...new Uint8Array(2 * width).fill(255),
        ...new Uint8Array(Float32Array.of(1, 2, 3).buffer),
      ])
      expect((await read({ outputs: [other, y] }, binary, 1)).answers).toEqual([listOf(Float32Array.of(1, 2, 3))])
    }
    const strings = { name: 's', shape: [2], datatype: 'BYTES', data: ['a,]', '"[1'] }
    expect((await read({ outputs: [strings, output] })).answers[1]).toEqual(listOf(Float32Array.of(4, 5, 6)))
  })

  it('takes what servers add or leave out, and counts rather than ranks', async () => {
    const reply = {
      model_name: 'm',
      model_version: null,
      id: 'q',
      parameters: null,
      extra: 1,
      outputs: [{ ...output, shape: [2, 3, 1], parameters: null, more: 1 }],
    }
    expect(await read(reply)).toEqual({
      id: 'q',
      version: undefined,
      parameters: {},
      answers: [listOf(Float32Array.of(1, 2, 3)), listOf(Float32Array.of(4, 5, 6))],
    })
  })

  it('what is no answer is PROTOCOL', async () => {
    const wrong: [unknown, RegExp][] = [
      [{ outputs: [{ ...output, data: [1, 2, {}, 4, 5, 6] }] }, /finite float32 values, got an object at 2/],
      [{ outputs: [{ ...output, shape: [1, 3], data: [1, 2, 3] }] }, /shape: expected \[2,3\], got \[1,3\]/],
      [{ outputs: [{ ...output, name: 'z' }] }, /expected 'y', got none/],
      [{ outputs: [{ ...output, datatype: 'FP64' }] }, /expected 'FP32', got "FP64"/],
      [{ error: 'no' }, /outputs: expected a list/],
      [[], /expected an object/],
    ]
    for (const [json, sentence] of wrong) {
      const error = await read(json).catch((thrown) => thrown)
      expect(error).toMatchObject({ code: 'PROTOCOL' })
      expect(error.message).toMatch(sentence)
    }
  })

  it('null, as which NaN and infinity come, is no answer, wherever it stands', async () => {
    for (const many of [2, 30_000]) {
      const data = Array.from({ length: 3 * many }, (_, i) => (i === 3 * many - 2 ? null : i))
      const json = { outputs: [{ ...output, shape: [many, 3], data }] }
      const message = `got null at ${3 * many - 2}`
      await expect(read(json, undefined, many)).rejects.toMatchObject({ code: 'PROTOCOL', message: expect.stringContaining(message) }) // biome-ignore format: one line
    }
    await expect(read('{"outputs":[{"name":"y","shape":[1,3],"datatype":"FP32","data":[1,nul,3]}]}')).rejects.toThrow(
      'nul',
    )
  })

  it("a model's metadata as a server writes it is its signature, and what cannot be used is MODEL", () => {
    const json = JSON.parse(JSON.stringify(writeMetadata('m', ['1'], one)))
    expect(json).toEqual({
      name: 'm',
      versions: ['1'],
      platform: 'onnx_onnxv1',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 8] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 3] }],
    })
    expect(readMetadata(json)).toEqual(one)
    const more = { ...json, outputs: [...json.outputs, { name: 'idx', datatype: 'BF16', shape: [-1] }] }
    expect(readMetadata(more, ['y'])).toEqual(one)
    const codeOf = (...args: Parameters<typeof readMetadata>) => {
      try {
        readMetadata(...args)
      } catch (error) {
        return (error as { code: string }).code
      }
    }
    expect(codeOf(more)).toBe('MODEL')
    expect(codeOf(json, ['nope'])).toBe('MODEL')
    expect(codeOf({ ...json, inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 20_000, 1000] }] })).toBe('MODEL')
    expect(codeOf({ ...json, inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 0] }] })).toBe('MODEL')
    expect(codeOf({ ...json, inputs: [{ name: 'x', datatype: 'FP32', shape: [-2, 8] }] })).toBe('MODEL')
    for (const none of [null, [], {}, { ...json, inputs: 'x' }, { ...json, outputs: [{ name: 'y' }] }]) {
      expect(codeOf(none)).toBe('PROTOCOL')
    }
  })

  it('errors as error, detail or text', () => {
    expect(readError(bytesOf('{"error":"a"}'))).toBe('a')
    expect(readError(bytesOf('{"detail":[{"msg":"b"}]}'))).toBe('[{"msg":"b"}]')
    expect(readError(bytesOf('Bad gateway'))).toBe('Bad gateway')
    expect(readError(bytesOf('x'.repeat(1e6))).length).toBe(500)
  })
})
