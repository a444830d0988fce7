import { describe, expect, it } from 'vitest'
import { type OipMessage, readMessage, readRequest } from '../../src/oip/read'
import { bytesOf, messageOf, signature as one } from '../shared/oip-messages'

const refusal = async (message: Promise<OipMessage>, signature = one, most?: number) =>
  message
    .then((read) => readRequest(read, signature, most))
    .then(
      () => 'taken',
      (error) => `${error.name}: ${error.message}`,
    )
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
    'the body: expected JSON, got': ['{"inputs":'],
    'the body: expected JSON, got what ': ['{"inputs":[{"data":[1,]}]}'],
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
    const deep = `{"p":${'['.repeat(30000)}${']'.repeat(30000)}}`
    expect((await refusal(messageOf(deep))).slice(0, 25)).toContain('request.p')
    const long = `{"inputs":[{"name":"x","shape":[1,8],"datatype":"FP32","data":[0.${'9'.repeat(1e6)}]}]}`
    expect(await refusal(messageOf(long))).toContain('expected a comma or ]')
  })

  it('a name of 60 KB is refused in milliseconds, and not compared with ours letter by letter', async () => {
    expect((await refusal(messageOf({ [`inputs${'s'.repeat(6e4)}`]: 1 }))).slice(0, 30)).toContain('request.inputs')
  })
})
