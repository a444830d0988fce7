/** Requests of the Open Inference Protocol as callers of the simulation write them, right and wrong, and what they read of a reply: written apart from the code that they try. */

import { type Random, seeded } from '../../src/base/random'
import { bitsOf, COUNT, datatypeOf, type Other, rawOf, splitRaw, textsIn, textsOf } from './elements'

export interface Sent {
  method: string
  path: string
  headers: Record<string, string>
  body: Uint8Array
}

/** What a caller wants, beside the rows. */
export interface Wanted {
  id: string
  rows: readonly Float32Array[]
  /** Of further values of each row. */
  element?: Other | undefined
  parameters: Record<string, unknown>
  /** Whether its numbers are raw, and the answer's are to be. */
  raw: { in: boolean; out: boolean }
}

const LENGTH = 'inference-header-content-length'
const INFER = '/v2/models/m/infer'
const utf8 = new TextEncoder()

export function request({ id, rows, element, parameters, raw }: Wanted): Sent {
  const values = Float32Array.from(rows.flatMap((row) => [...row]))
  const texts = element ? rows.flatMap((row) => textsOf(element, row)) : []
  const given = (bytes: Uint8Array, data: string) => raw.in ? `"parameters":{"binary_data_size":${bytes.length}}` : `"data":[${data}]` // biome-ignore format: one line
  const more = element ? rawOf(element, texts) : new Uint8Array()
  const bytes = joined(new Uint8Array(values.buffer), more)
  const x = `{"name":"x","shape":[${rows.length},2],"datatype":"FP32",${given(bytes.subarray(0, values.byteLength), Array.from(values).join())}}` // biome-ignore format: one line
  const z = element ? `,{"name":"z","shape":[${rows.length},${COUNT}],"datatype":"${datatypeOf(element)}",${given(more, texts.join())}}` : '' // biome-ignore format: one line
  const outputs = ['y', ...(element ? ['w'] : [])].map((name) => ({ name, parameters: { binary_data: raw.out } }))
  const json = utf8.encode(`{"id":${JSON.stringify(id)},"inputs":[${x}${z}],"outputs":${JSON.stringify(outputs)},"parameters":${JSON.stringify(parameters)}}`) // biome-ignore format: one line
  if (!raw.in) return { method: 'POST', path: INFER, headers: {}, body: json }
  return { method: 'POST', path: INFER, headers: { [LENGTH]: String(json.length) }, body: joined(json, bytes) }
}

function joined(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

export interface Read {
  id: string | undefined
  version: string | undefined
  rows: Float32Array[]
  /** The bits of each row's further values. */
  bits: string[]
  status: string[]
  confidence: (number | null)[]
  errors: { row: number; code: string }[]
}

/** @throws where it is not what the protocol says */
export function readReply(body: Uint8Array, header: string | null, element?: Other): Read {
  const length = header === null ? body.length : Number(header)
  const json = new TextDecoder().decode(body.subarray(0, length))
  const { id, model_version: version, outputs, parameters } = JSON.parse(json)
  const [{ name, shape, datatype, data }] = outputs
  if (name !== 'y' || datatype !== 'FP32' || shape[1] !== 2)
    throw new Error(`the reply has ${name} ${datatype} [${shape}]`)
  const values = data ? Float32Array.from(data) : new Float32Array(body.slice(length, length + 8 * shape[0]).buffer)
  if (values.length !== 2 * shape[0]) throw new Error(`the reply has ${values.length} values for [${shape}]`)
  const rows = Array.from({ length: shape[0] }, (_, row) => values.subarray(2 * row, 2 * row + 2))
  const bits = element ? bitsIn(element, outputs[1], json, body.subarray(length + (data ? 0 : values.byteLength))) : []
  return { id, version, rows, bits, errors: [], ...parameters }
}

/** @param raw  the bytes behind those of the first output */
function bitsIn(
  element: Other,
  output: { name: string; datatype: string; shape: number[]; data?: unknown },
  json: string,
  raw: Uint8Array,
): string[] {
  const { name, datatype, shape, data } = output
  if (name !== 'w' || datatype !== datatypeOf(element) || shape[1] !== COUNT)
    throw new Error(`the reply has ${name} ${datatype} [${shape}]`)
  if (!data) return splitRaw(element, raw, shape[0])
  const texts = textsIn(element, json, name)
  return Array.from({ length: shape[0] }, (_, row) => bitsOf(element, texts.slice(COUNT * row, COUNT * (row + 1))))
}

type Spoil = (good: Sent, random: Random) => Sent

const json =
  (change: (message: any) => unknown): Spoil =>
  (good) => {
    const message = { inputs: [{ name: 'x', shape: [1, 2], datatype: 'FP32', data: [1, 2] }] }
    const changed = change(message) ?? message
    return { ...good, headers: {}, body: utf8.encode(typeof changed === 'string' ? changed : JSON.stringify(changed)) }
  }

/** Where something is mixed or learned. */
const NOT_FINITE = 'NaN as raw bytes'

/** Each gets a status from 400 on, and below 500. */
const spoils: Record<string, Spoil> = {
  'cut JSON': (good) => ({ ...good, body: good.body.subarray(0, 20), headers: {} }),
  'random bytes': (good, random) => ({ ...good, body: Uint8Array.from({ length: 50 }, () => random.below(256)) }),
  nothing: (good) => ({ ...good, body: new Uint8Array(), headers: {} }),
  'a deep nest': json(() => '{"inputs":'.repeat(500)),
  'deep data': json(() => `{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":${'['.repeat(100)}1${']'.repeat(100)}}]}`), // biome-ignore format: one line
  'another shape': json((message) => Object.assign(message.inputs[0], { shape: [2, 1] }) && undefined),
  'no rows': json((message) => Object.assign(message.inputs[0], { shape: [0, 2], data: [] }) && undefined),
  'many rows': json((message) => Object.assign(message.inputs[0], { shape: [1e9, 2] }) && undefined),
  'another type': json((message) => Object.assign(message.inputs[0], { datatype: 'INT64' }) && undefined),
  'another name': json((message) => Object.assign(message.inputs[0], { name: 'z' }) && undefined),
  'a name of the prototype': json((message) => Object.assign(message.inputs[0], { name: '__proto__' }) && undefined),
  'one twice': json((message) => ({ inputs: [message.inputs[0], message.inputs[0]] })),
  'null for a number': json((message) => Object.assign(message.inputs[0], { data: [1, null] }) && undefined),
  'too large a number': json(() => '{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,1e39]}]}'),
  'ragged data': json((message) => Object.assign(message.inputs[0], { data: [[1], [2, 3]] }) && undefined),
  'a misspelt parameter': json((message) => ({ ...message, parameters: { deadline: 1 } })),
  'a deadline of yesterday': json((message) => ({ ...message, parameters: { deadline_ms: -1 } })),
  'another policy': json((message) => ({ ...message, parameters: { policy: 'hope' } })),
  'a tenant that is a number': json((message) => ({ ...message, parameters: { tenant: 5 } })),
  'another output': json((message) => ({ ...message, outputs: [{ name: 'z' }] })),
  'a list': json(() => []),
  null: json(() => 'null'),
  [NOT_FINITE]: (good) => raw(good, Float32Array.of(Number.NaN, 1), 8),
  'fewer raw bytes': (good) => raw(good, Float32Array.of(1), 8),
  'more raw bytes': (good) => raw(good, Float32Array.of(1, 2, 3), 8),
  'a header that is longer': (good) => ({ ...good, headers: { [LENGTH]: '100000' } }),
  'a header that is no number': (good) => ({ ...good, headers: { [LENGTH]: '0x10' } }),
  'another model': (good) => ({ ...good, path: '/v2/models/n/infer' }),
  'another version': (good) => ({ ...good, path: '/v2/models/m/versions/none/infer' }),
  'half a letter': (good) => ({ ...good, path: '/v2/models/%C3/infer' }),
  'no path': (good) => ({ ...good, path: '/v1/predict' }),
  'another method': (good) => ({ ...good, method: 'PUT' }),
  'another content': (good) => ({ ...good, headers: { ...good.headers, 'content-type': 'image/png' } }),
  'a coding that is none': (good) => ({ ...good, headers: { ...good.headers, 'content-encoding': 'br' } }),
  'a large body of nothing': (good) => ({ ...good, body: new Uint8Array(MOST_BYTES).fill(32), headers: {} }),
  'too large a body': (good) => ({ ...good, body: new Uint8Array(MOST_BYTES + 1), headers: {} }),
}

/** Of a request. */
export const MOST_BYTES = 100_000

function raw(good: Sent, values: Float32Array, said: number): Sent {
  const inputs = [{ name: 'x', shape: [1, 2], datatype: 'FP32', parameters: { binary_data_size: said } }]
  const head = utf8.encode(JSON.stringify({ inputs }))
  return { ...good, headers: { [LENGTH]: String(head.length) }, body: joined(head, new Uint8Array(values.buffer)) }
}

/** @param seed  says in which way it is wrong @param mixes  whether values have to be finite */
export function nonsense(good: Sent, seed: number, mixes: boolean): Sent & { why: string } {
  const random = seeded(seed)
  const all = Object.keys(spoils)
  const drawn = all[random.below(all.length)]
  const why = drawn === NOT_FINITE && !mixes ? 'nothing' : drawn
  return { ...spoils[why](good, random), why }
}
