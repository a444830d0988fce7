import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Numbers, parseJson } from '../../src/oip/json'
import {
  datatypes,
  type Encoded,
  type Message,
  type Rows,
  readError,
  readMessage,
  readMetadata,
  readReply,
  readRequest,
  writeMetadata,
  writeReply,
  writeRequest,
} from '../../src/oip/messages'
import type { Signature, TensorSpec } from '../../src/tensor'

const one: Signature = { inputs: [{ name: 'x', shape: [8] }], outputs: [{ name: 'y', shape: [3] }] }

const bytesOf = (text: string) => new TextEncoder().encode(text)
const reread = ({ body, headerLength }: Encoded) => readMessage(body, headerLength?.toString())
const messageOf = (json: unknown, binary = new Uint8Array()): Promise<Message> => {
  const text = bytesOf(typeof json === 'string' ? json : JSON.stringify(json))
  const body = new Uint8Array([...text, ...binary])
  return readMessage(body, binary.length ? String(text.length) : null)
}
/** In slices, as only long documents are. */
const numbersOf = async (text: string) => ((await parseJson(bytesOf(`{"data":${text}}`), 0)) as { data: Numbers }).data
/** At once, as short ones are. */
const shortOf = async (text: string) => ((await parseJson(bytesOf(`{"data":${text}}`))) as { data: Numbers }).data
const refusal = async (message: Promise<Message>, signature = one, most?: number) =>
  message
    .then((read) => readRequest(read, signature, most))
    .then(
      () => 'taken',
      (error) => `${error.name}: ${error.message}`,
    )
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

function isParsed(text: string): boolean {
  try {
    return JSON.parse(text) !== undefined
  } catch {
    return false
  }
}

/** A query's row again, of the tensors that `readRequest` gives. */
function rowOf(query: unknown, inputs: readonly TensorSpec[]): number[] {
  if (query instanceof Float32Array) return [...query]
  const named = new Map(Object.entries(query as Record<string, Float32Array>))
  return inputs.flatMap(({ name }) => [...(named.get(name) as Float32Array)])
}

/** JSON has no -0 as most write it. */
const unsigned = (values: Iterable<number>) => [...values].map((value) => (value === 0 ? 0 : value))

describe('numbers in slices', () => {
  it('are to the bit the float32 next to what JSON.parse gives, or told as a flaw', async () => {
    const digits = fc.stringMatching(/^-?(0|[1-9]\d{0,24})(\.\d{1,24})?([eE][+-]?\d{1,3})?$/)
    const halfway = f32.map((x) => String((x + Math.fround(x * (1 - 2 ** -23))) / 2))
    const texts = fc.array(
      fc.oneof(digits, halfway, fc.double({ noNaN: true, noDefaultInfinity: true }).map(String), f32.map(String)),
    )
    await fc.assert(
      fc.asyncProperty(texts, async (all) => {
        const { values, flaw } = await numbersOf(`[${all}]`)
        const wanted = all.map((text) => Math.fround(JSON.parse(text)))
        if (wanted.every(Number.isFinite)) expect([...values]).toEqual(wanted)
        expect(flaw === undefined).toBe(wanted.every(Number.isFinite))
      }),
      { numRuns: 2000 },
    )
  })

  it('are refused where JSON.parse would refuse them', async () => {
    const text = fc.array(fc.constantFrom('1', '0', '-', '.', 'e', '+', ',', '[', ']', ' ', '\n', '2.5', '1e3'), {
      maxLength: 12,
    })
    await fc.assert(
      fc.asyncProperty(
        text.map((parts) => `[${parts.join('')}]`),
        async (array) => {
          const isJson = isParsed(array)
          const read = await numbersOf(array).then(
            ({ flaw }) => (flaw ? 'spoilt' : true), // then the rest is not looked at
            (error) => (/equal lengths/.test(error.message) ? 'ragged' : false),
          )
          if (typeof read === 'boolean') expect([array, read]).toEqual([array, isJson])
        },
      ),
      { numRuns: 5000 },
    )
  })

  it('keep the lengths of nested arrays, and refuse ragged ones', async () => {
    expect((await numbersOf('[[[1,2]],[[3,4]],[[5,6]]]')).dims).toEqual([3, 1, 2])
    expect((await numbersOf('[]')).dims).toEqual([0])
    for (const ragged of [
      '[[1],[2,3]]',
      '[1,[2]]',
      '[[1],2]',
      '[[1,2],[3]]',
      '[[],[1]]',
      '[[[1]],[2]]',
      '[[1],[[2]]]',
    ]) {
      await expect(numbersOf(ragged), ragged).rejects.toThrow(/expected arrays of equal lengths/)
    }
  })

  it('may cross the border between two slices anywhere, and let others have their turn', async () => {
    const values = Array.from({ length: 120_000 }, (_, i) => Math.fround(Math.sin(i)))
    let turns = 0
    const count = setInterval(() => turns++)
    for (const pad of ['', ' ', '  ', '   ']) expect([...(await numbersOf(`[${pad}${values}]`)).values]).toEqual(values)
    clearInterval(count)
    expect(turns).toBeGreaterThan(8)
  })

  it('keep no more memory than twice what they need, however long the rest of the body made them seem', async () => {
    const short = `{"data":[${Array(5000).fill(1)}]}`
    const long = `{"data":[${Array(300_000).fill(1.25)}]}`
    const read = (await parseJson(bytesOf(`[${short},${long}]`), 0)) as { data: Numbers }[]
    expect(read.map(({ data }) => data.values.length)).toEqual([5000, 300_000])
    for (const { data } of read) expect(data.values.buffer.byteLength).toBeLessThanOrEqual(2 * data.values.byteLength)
  })

  it.each([0, 1000])('under a key that only looks like one are left as they are (at once: %i)', async (atOnce) => {
    const text = '{"a":"data","b":["data",[1]],"\\"data":[1],"data":{"data":[[1,2]]},"c":"\\"data\\":[1,"}'
    const read = (await parseJson(bytesOf(text), atOnce)) as { data: { data: Numbers } }
    const plain = JSON.parse(text)
    expect({ ...read, data: 0 }).toEqual({ ...plain, data: 0 })
    expect(read.data.data.dims).toEqual([1, 2])
  })

  it('under the key with letters escaped are its own, and not those of another', async () => {
    const text = '{"a":{"data":[7,8]},"b":{"d\\u0061ta":[0]},"c":{"\\u0064\\u0061\\u0074\\u0061":[5]}}'
    const read = (await parseJson(bytesOf(text), 0)) as Record<string, { data: Numbers }>
    expect(Object.values(read).map(({ data }) => [...data.values])).toEqual([[7, 8], [0], [5]])
  })

  it('at once are those in slices, and the same is refused', async () => {
    const leaf = fc.constantFrom(
      '1',
      '-0',
      '1.5e3',
      '3.4028235e38',
      '3.5e38',
      '-1e39',
      '1e-50',
      'null',
      'true',
      '""',
      '{}',
    )
    const { array } = fc.letrec<{ array: string; element: string }>((tie) => ({
      array: fc.array(tie('element'), { maxLength: 3 }).map((all) => `[${all}]`),
      element: fc.oneof({ maxDepth: 3 }, leaf, tie('array')),
    }))
    await fc.assert(
      fc.asyncProperty(array, async (text) => {
        const told = ({ values, dims, flaw }: Numbers) => (flaw ? 'refused' : { values, dims })
        const refused = ({ message }: Error) => (/equal lengths/.test(message) ? 'refused' : message)
        expect(await shortOf(text).then(told, refused), text).toEqual(await numbersOf(text).then(told, refused))
      }),
      { numRuns: 3000 },
    )
    expect((await shortOf(`[[${'1,'.repeat(9999)}1]${',[1]'.repeat(9999)}]`).catch((error) => error)).message).toMatch(
      /equal/,
    )
    expect((await shortOf(`${'['.repeat(30000)}${']'.repeat(30000)}`).catch((error) => error)).message).toMatch(
      /32 dim/,
    )
    expect((await refusal(messageOf(`{"p":${'['.repeat(30000)}${']'.repeat(30000)}}`))).slice(0, 25)).toContain(
      'request.p',
    )
  })

  it('whatever is sent, nobody is kept waiting: blanks, numbers that are slow to read, many arrays, much beside them', async () => {
    const texts = [
      `{"data"${' '.repeat(3e7)}:[1]}`,
      `{"a":[${'{"data":[1]},'.repeat(1e5)}1]}`,
      `{"a":[${'{},'.repeat(3e5)}1],"data":[1]}`,
      `{"data":[${'1e-30,'.repeat(3e5)}1]}`,
    ]
    /** Of this process: others may hold the machine. */
    const since = (start: NodeJS.CpuUsage) => {
      const { user, system } = process.cpuUsage(start)
      return (user + system) / 1000
    }
    const start = process.cpuUsage()
    JSON.parse(texts[2])
    const unit = since(start) // 30 ms on the machine that this was written on
    const holds = []
    for (const text of texts) {
      let last = process.cpuUsage()
      let longest = 0
      const look = () => {
        longest = Math.max(longest, since(last))
        last = process.cpuUsage()
      }
      const timer = setInterval(look)
      await parseJson(bytesOf(text)).catch(() => {})
      look()
      clearInterval(timer)
      holds.push(longest)
    }
    expect(Math.max(...holds), `${holds}`).toBeLessThan(1.5 * unit)
  })
})

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
          await reread(await writeRequest(signature, { rows, binary, id, parameters: { policy: 'auto' } })),
          signature,
        )
        const got = request.queries.map((query) => rowOf(query, inputs))
        if (binary) expect(got).toEqual(rows.map((row) => [...row]))
        else expect(got.map(unsigned)).toEqual(rows.map(unsigned))
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
        const sent = outputs.map((spec, i): Rows => ({ ...spec, binary: binary[i], rows: rows.map((row) => row[i]) }))
        const asSent = order.map((spec) => sent[outputs.indexOf(spec)])
        const reply = await writeReply({ model: 'm', version: '7', id: 'a', parameters: { k: [1] }, outputs: asSent })
        expect(reply.headerLength === undefined).toBe(!binary.includes(true))
        const read = readReply(await reread(reply), outputs, rows.length)
        expect(read.rows.map(unsigned)).toEqual(rows.map((row) => unsigned(row.flatMap((tensor) => [...tensor]))))
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
      rows: [Float32Array.of(1, 2, -0.5), Float32Array.of(3, 4, 5)],
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
      const { body, headerLength = 0 } = await writeRequest(one, { rows, binary: true, id: pad })
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

describe('what is no request is refused with field, expected and got', () => {
  const x = { name: 'x', shape: [1, 8], datatype: 'FP32' }
  const data = [0, 1, 2, 3, 4, 5, 6, 7]
  const raw = new Uint8Array(32)
  const sized = (binary_data_size: unknown) => ({ ...x, parameters: { binary_data_size } })
  const cases: Record<string, [unknown, Uint8Array<ArrayBuffer>?]> = {
    'inputs[0].name: expected \'x\', got "nope"': [{ inputs: [{ ...x, name: 'nope', data }] }],
    'inputs[0].datatype: expected \'FP32\', got "INT64"': [{ inputs: [{ ...x, datatype: 'INT64', data }] }],
    'inputs[0].datatype: expected one of BOOL': [{ inputs: [{ ...x, datatype: 'fp32', data }] }],
    'inputs[0].datatype: expected one of': [{ inputs: [{ ...x, datatype: '__proto__', data }] }],
    "inputs[0].shape: expected [N,8] for 'x', got [3,4]": [
      { inputs: [{ ...x, shape: [3, 4], data: Array(12).fill(0) }] },
    ],
    "inputs[0].shape: expected [N,8] for 'x', got [24]": [{ inputs: [{ ...x, shape: [24], data: Array(24).fill(0) }] }],
    'inputs[0].shape[0]: expected an integer from 1 to 4, got 5': [
      { inputs: [{ ...x, shape: [5, 8], data: Array(40).fill(0) }] },
    ],
    'inputs[0].shape[0]: expected an integer from 1 to 4, got 0': [{ inputs: [{ ...x, shape: [0, 8], data: [] }] }],
    "inputs[0].shape: expected [N,8] for 'x', got []": [{ inputs: [{ ...x, shape: [], data: [1] }] }],
    'inputs[0].shape[0]: expected an integer from 0': [{ inputs: [{ ...x, shape: [-1, 8], data }] }],
    'inputs[0].shape[1]: expected an integer': [{ inputs: [{ ...x, shape: [1, '8'], data }] }],
    'inputs[0].shape: expected a list of lengths, got 8': [{ inputs: [{ ...x, shape: 8, data }] }],
    'inputs[0].data: expected 8 values for shape [1,8], got 7': [{ inputs: [{ ...x, data: data.slice(1) }] }],
    'inputs[0].data: expected values flat or nested as shape [1,8], got [2,4]': [
      { inputs: [{ ...x, data: [data.slice(4), data.slice(4)] }] },
    ],
    'inputs[0].data: expected finite float32 values, got null at 2': [
      { inputs: [{ ...x, data: [0, 1, null, 3, 4, 5, 6, 7] }] },
    ],
    'inputs[0].data: expected finite float32 values, got 1e+39 at 0': [
      { inputs: [{ ...x, data: [1e39, ...data.slice(1)] }] },
    ],
    'inputs[0].data: expected finite float32 values, got a string at 0': [
      { inputs: [{ ...x, data: ['a"]}', ...data] }] },
    ],
    'inputs[0].data: expected a list of values, got "1"': [{ inputs: [{ ...x, data: '1' }] }],
    'inputs[0]: expected either data or parameters.binary_data_size, got neither': [{ inputs: [x] }],
    'inputs[0]: expected either data or parameters.binary_data_size, got both': [
      { inputs: [{ ...sized(32), data }] },
      raw,
    ],
    'inputs[0].parameters.binary_data_size: expected 32 bytes for FP32 [1,8], got 31': [{ inputs: [sized(31)] }, raw],
    'inputs[0].parameters.binary_data_size: expected an integer': [{ inputs: [sized('32')] }, raw],
    'inputs[0]: expected 32 bytes behind the JSON, got 20': [{ inputs: [sized(32)] }, raw.subarray(12)],
    'the body: expected 32 bytes behind the JSON, by binary_data_size, got 33': [
      { inputs: [sized(32)] },
      new Uint8Array(33),
    ],
    'the body: expected 0 bytes behind the JSON': [{ inputs: [{ ...x, data }] }, raw],
    "inputs[1]: expected another name, got 'x' again": [
      {
        inputs: [
          { ...x, data },
          { ...x, data },
        ],
      },
    ],
    "inputs[0].dta: expected 'data'": [{ inputs: [{ ...x, data, dta: 1 }] }],
    'inputs[0].parameters.shared_memory_region: expected one of': [
      { inputs: [{ ...x, data, parameters: { shared_memory_region: 'r' } }] },
    ],
    'inputs: expected 1 to 1000 tensors, got 0': [{ inputs: [] }],
    'inputs: expected a list of tensors, got undefined': [{}],
    'inputs[0]: expected an object, got null': [{ inputs: [null] }],
    'outputs: expected a list of outputs': [{ inputs: [{ ...x, data }], outputs: 'y' }],
    'outputs[0].name: expected \'y\', got "nope"': [{ inputs: [{ ...x, data }], outputs: [{ name: 'nope' }] }],
    "outputs[1].name: expected another, got 'y' again": [
      { inputs: [{ ...x, data }], outputs: [{ name: 'y' }, { name: 'y' }] },
    ],
    'outputs[0].parameters.classification: expected': [
      { inputs: [{ ...x, data }], outputs: [{ name: 'y', parameters: { classification: 1 } }] },
    ],
    'outputs[0].parameters.binary_data: expected true or false, got 1': [
      { inputs: [{ ...x, data }], outputs: [{ name: 'y', parameters: { binary_data: 1 } }] },
    ],
    'parameters.binary_data_output: expected true or false': [
      { inputs: [{ ...x, data }], parameters: { binary_data_output: 'yes' } },
    ],
    'parameters: expected an object, got Array': [{ inputs: [{ ...x, data }], parameters: [] }],
    'id: expected a string, got 42': [{ inputs: [{ ...x, data }], id: 42 }],
    "request.input: expected 'inputs', got an unknown option": [{ inputs: [{ ...x, data }], input: 1 }],
    'request.__proto__: expected one of': ['{"__proto__":{"inputs":[]}}'],
    'request: expected an object, got Array': ['[]'],
    'the body: expected JSON': ['{"inputs":'],
    'the body: expected JSON, got': ['{"inputs":[{"data":[1,]}]}'],
  }
  it.each(Object.entries(cases))('%s', async (sentence, [json, binary]) => {
    expect(await refusal(messageOf(json, binary), one, 4)).toContain(sentence)
  })

  it('an input that is missing, among several', async () => {
    const two = { ...one, inputs: [...one.inputs, { name: 'm', shape: [] }] }
    expect(await refusal(messageOf({ inputs: [{ ...x, data }] }), two)).toContain(
      "inputs: expected 'x', 'm', got none named 'm'",
    )
    const other = { name: 'm', shape: [2], datatype: 'FP32', data: [1, 2] }
    expect(await refusal(messageOf({ inputs: [{ ...x, data }, other] }), two)).toContain(
      'inputs[1].shape: expected 1 rows as the others have, got 2',
    )
  })

  it('a header length that is none, or beyond the body', async () => {
    for (const length of ['abc', '-1', '1.5', '', ' 2', '3', '99999', '9007199254740993']) {
      const message = readMessage(bytesOf('{}'), length)
      expect(await refusal(message), length).toContain(
        "Inference-Header-Content-Length: expected bytes of the body's JSON, from 0 to 2",
      )
    }
  })

  it('bytes that are no UTF-8, 64 KB beside the numbers, and arrays as deep as the stack', async () => {
    expect(await refusal(readMessage(Uint8Array.of(0x22, 0xff, 0x22)))).toContain('expected UTF-8')
    for (const junk of [`"${'a'.repeat(3e6)}"`, `"${'\\"'.repeat(2e6)}"`, ' '.repeat(3e6), '{"a":'.repeat(1e6)]) {
      expect(await refusal(messageOf(junk)), junk.slice(0, 9)).toContain('expected at most 65536 bytes beside')
    }
    expect(await refusal(messageOf(`{"data":${'['.repeat(1e6)}`))).toContain('at most 32 dimensions')
    const long = `{"inputs":[{"name":"x","shape":[1,8],"datatype":"FP32","data":[0.${'9'.repeat(1e6)}]}]}`
    expect(await refusal(messageOf(long))).toContain('expected a comma or ]')
  })

  it('a name of 60 KB is refused in milliseconds, and not compared with ours letter by letter', async () => {
    expect((await refusal(messageOf({ [`inputs${'s'.repeat(6e4)}`]: 1 }))).slice(0, 30)).toContain('request.inputs')
  })
})

describe('as a client', () => {
  const output = { name: 'y', shape: [2, 3], datatype: 'FP32', data: [1, 2, 3, 4, 5, 6] }
  const read = async (json: unknown, binary?: Uint8Array<ArrayBuffer>, rows = 2) =>
    readReply(await messageOf(json, binary), one.outputs, rows)

  it('steps over outputs of other datatypes by their bytes', async () => {
    const widths = Object.entries(datatypes).filter(([, width]) => width)
    for (const [datatype, width] of widths as [string, number][]) {
      const other = { name: 'idx', shape: [2], datatype, parameters: { binary_data_size: 2 * width } }
      const y = { name: 'y', shape: [1, 3], datatype: 'FP32', parameters: { binary_data_size: 12 } }
      const binary = new Uint8Array([
        ...new Uint8Array(2 * width).fill(255),
        ...new Uint8Array(Float32Array.of(1, 2, 3).buffer),
      ])
      expect((await read({ outputs: [other, y] }, binary, 1)).rows).toEqual([Float32Array.of(1, 2, 3)])
    }
    const strings = { name: 's', shape: [2], datatype: 'BYTES', data: ['a,]', '"[1'] }
    expect((await read({ outputs: [strings, output] })).rows[1]).toEqual(Float32Array.of(4, 5, 6))
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
      rows: [Float32Array.of(1, 2, 3), Float32Array.of(4, 5, 6)],
    })
  })

  it('what is no answer is PROTOCOL', async () => {
    const wrong: [unknown, RegExp][] = [
      [{ outputs: [{ ...output, data: [1, 2, null, 4, 5, 6] }] }, /finite float32 values, got null at 2/],
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

  it("a model's metadata as a server writes it is its signature, and what cannot be coded is MODEL", () => {
    const json = JSON.parse(JSON.stringify(writeMetadata('m', ['1'], one)))
    expect(json).toEqual({
      name: 'm',
      versions: ['1'],
      platform: 'onnx_onnxv1',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 8] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 3] }],
    })
    expect(readMetadata(json)).toEqual(one)
    const more = { ...json, outputs: [...json.outputs, { name: 'idx', datatype: 'INT64', shape: [-1] }] }
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
    expect(codeOf({ ...json, inputs: [{ name: 'x', datatype: 'FP32', shape: [4, 8] }] })).toBe('MODEL')
    expect(codeOf({ ...json, inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, -1] }] })).toBe('MODEL')
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
