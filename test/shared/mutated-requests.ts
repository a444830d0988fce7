/** Requests that were right, changed at random: their JSON as a tree, its text, the bytes behind it, and headers. */

import type { Random } from '../../src/base/random'
import { PARAMETERS } from '../../src/gateway/infer'

export interface Mutable {
  path: string
  method: string
  headers: Record<string, string>
  json: unknown
  /** What follows the JSON. */
  binary: Uint8Array
}

/** JSON that a client may write and JavaScript cannot: it stands for itself where it is written. */
class Raw {
  constructor(readonly text: string) {}
}

const raw = (...texts: string[]) => texts.map((text) => new Raw(text))
const deep = (open: string, close: string, times: number) => new Raw(open.repeat(times) + close.repeat(times))

const STRANGE: readonly unknown[] = [
  ...[
    null,
    true,
    false,
    0,
    1,
    -1,
    1.5,
    2 ** 31,
    2 ** 53,
    -(2 ** 63),
    1e308,
    '',
    ' ',
    'a',
    '0',
    '1',
    'NaN',
    '\0',
    '\ud800',
    'é',
  ],
  ...[
    '__proto__',
    'constructor',
    'toString',
    'FP32',
    'FP64',
    'BYTES',
    'INT64',
    'retry',
    'x'.repeat(5000),
    '😀'.repeat(100),
  ],
  ...[[], {}, [[]], [[[]]], [null], [1, 'a'], [[1], 2], [1, [2, [3]]], { a: 1 }, [{}], Array(2000).fill(0)],
  ...raw('1e999', '-1e999', '1e-999', '-0', '9007199254740993', '123456789012345678901234567890', '1E+2', '"\\u0000"'),
  ...raw(
    '"\\ud800\\udc00\\ud800"',
    '{"__proto__":{"a":1}}',
    '{"constructor":{"prototype":{"a":1}}}',
    '{"a":1,"a":2}',
    '01',
    'NaN',
  ),
  ...[
    deep('[', ']', 40),
    deep('[', ']', 5000),
    deep('[{"a":', '}]', 3),
    new Raw(`${'{"a":'.repeat(4000)}1${'}'.repeat(4000)}`),
  ],
]

const NAMES = [
  ...[
    'id',
    'inputs',
    'outputs',
    'parameters',
    'name',
    'shape',
    'datatype',
    'data',
    'model',
    'model_name',
    'model_version',
  ],
  ...[
    'binary_data',
    'binary_data_size',
    'binary_data_output',
    'content_type',
    'classification',
    'shared_memory_region',
  ],
  ...PARAMETERS,
  ...[
    'caller',
    'weight',
    'signal',
    'sequence_id',
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'length',
    '',
  ],
  ...[
    'input',
    'encoding_format',
    'dimensions',
    'user',
    'truncate',
    'truncation_direction',
    'normalize',
    'query',
    'texts',
    'raw_scores',
  ],
]

const HEADERS: Readonly<Record<string, readonly string[]>> = {
  'inference-header-content-length': [
    '',
    '0',
    '1',
    '-1',
    '+1',
    '1e3',
    '0x10',
    '1.5',
    '99999',
    '9'.repeat(15),
    '9'.repeat(40),
    'NaN',
    ' 7',
  ],
  'content-encoding': ['gzip', 'deflate', 'br', 'identity', 'gzip, gzip', '', 'x-gzip', '__proto__'],
  'accept-encoding': ['*', 'gzip;q=0', 'gzip;q=x', ';', 'identity;q=0, *;q=0', ','],
  'content-type': ['text/plain', 'text/html', 'application/json; charset=utf-16', 'application/octet-stream', '', ';'],
  'content-length': ['0', '1', '-1', 'x', '99999999999'],
  traceparent: ['00-0-0-0', '', '00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01', 'x'],
}

type Holder = Record<string, unknown> | unknown[]
type Place = { holder: Holder; key: string }

export class Mutations {
  readonly #random: Random

  constructor(random: Random) {
    this.#random = random
  }

  #below(n: number): number {
    return this.#random.below(n)
  }

  oneOf<T>(all: readonly T[]): T {
    return all[this.#below(all.length)]
  }

  /** @returns a request as it is sent, of one to three changes; none in one of sixteen */
  of(sound: Mutable): { path: string; method: string; headers: Record<string, string>; body: Buffer } {
    const request = { ...sound, headers: { ...sound.headers }, json: copied(sound.json) }
    const times = this.#below(16) ? 1 + this.#below(3) : 0
    const late: ((bytes: Buffer) => Buffer)[] = []
    for (let i = 0; i < times; i++) {
      const kind = this.#below(20)
      if (kind < 12) this.#tree(request)
      else if (kind < 14) this.#header(request)
      else if (kind < 15) this.#path(request)
      else late.push(kind < 18 ? (bytes) => this.#bytes(bytes) : (bytes) => this.#text(bytes))
    }
    let text: Buffer = Buffer.from(request.json === undefined ? '' : written(request.json))
    if (request.binary.length && !('inference-header-content-length' in request.headers))
      request.headers['inference-header-content-length'] = String(text.length)
    for (const change of late) text = change(text)
    return { ...request, body: Buffer.concat([text, request.binary]) }
  }

  #tree(request: { json: unknown }): void {
    const root: Place = { holder: request as unknown as Holder, key: 'json' }
    const { holder, key } = this.oneOf(placesIn(root))
    const at = holder as Record<string, unknown>
    const value = at[key]
    const set = (to: unknown) => void (at[key] = copied(to)) // else a document could hold itself
    const changes: (() => unknown)[] = [
      () => set(this.oneOf(STRANGE)),
      () => set(this.oneOf(STRANGE)),
      () => set([value]),
      () => set(written(value)),
      () => (Array.isArray(holder) ? holder.splice(Number(key), 1) : delete at[key]),
      () => Array.isArray(holder) && holder.splice(Number(key), 0, copied(value)),
      () => Array.isArray(value) && set(value[0]),
      () =>
        typeof value === 'number' && set(value * this.oneOf([-1, 0, 0.5, 2, 1e6, 1e300, 1e-300]) + this.oneOf([0, 1])),
      () => set(at[this.oneOf(Object.keys(at))]),
      () => this.#named(value, this.oneOf(STRANGE)),
      () => this.#named(value, value),
      () => this.#twice(at, key),
      () => this.#parameter(request),
      () => this.#parameter(request),
    ]
    this.oneOf(changes)()
  }

  #named(object: unknown, value: unknown): void {
    if (typeof object === 'object' && object !== null && !(object instanceof Raw) && !Array.isArray(object))
      Object.defineProperty(object, this.oneOf(NAMES), {
        value: copied(value),
        enumerable: true,
        configurable: true,
        writable: true,
      })
  }

  #parameter({ json }: { json: unknown }): void {
    if (typeof json !== 'object' || json === null || json instanceof Raw) return
    const own = (json as { parameters?: unknown }).parameters
    const parameters = typeof own === 'object' && own !== null ? own : {}
    this.#named(parameters, this.oneOf(STRANGE))
    Object.assign(json, { parameters })
  }

  /** The same key once more, with another value. */
  #twice(at: Record<string, unknown>, key: string): void {
    if (Array.isArray(at) || at[key] === undefined) return
    at[key] = new Raw(`${written(at[key])},${JSON.stringify(key)}:${written(this.oneOf(STRANGE))}`)
  }

  #header({ headers }: { headers: Record<string, string> }): void {
    const name = this.oneOf(Object.keys(HEADERS))
    headers[name] = this.oneOf(HEADERS[name])
  }

  #path(request: { path: string; method: string }): void {
    const parts = request.path.split('/')
    const part = 1 + this.#below(parts.length - 1)
    parts[part] = this.oneOf([
      '',
      '%zz',
      '%00',
      '..',
      '__proto__',
      'constructor',
      'modelVersions',
      'recalls',
      'infer',
      'versions',
      '%F0%9F',
    ])
    if (this.#below(2)) request.path = parts.join('/')
    else if (this.#below(2)) request.path += this.oneOf(['?since=x', '?since=1&tenant=a', '?a=%', '/', '//', '?tenant'])
    else request.method = this.oneOf(['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'POST'])
  }

  /** Cut, longer, or with other bytes. */
  #bytes(bytes: Buffer): Buffer {
    const changed = Buffer.from(bytes)
    const kind = this.#below(4)
    if (kind === 0) return changed.subarray(0, this.#below(bytes.length + 1))
    if (kind === 1) return Buffer.concat([changed, Buffer.alloc(1 + this.#below(40), this.#below(256))])
    for (let i = 0; i <= this.#below(4) && bytes.length; i++) changed[this.#below(bytes.length)] = this.#below(256)
    return changed
  }

  /** As another writer of JSON might have it, or one that is wrong. */
  #text(bytes: Buffer): Buffer {
    const text = bytes.toString()
    const at = this.#below(text.length + 1)
    const piece = this.oneOf([
      ' ',
      '\t',
      '\n',
      ',',
      ':',
      '"',
      '[',
      ']',
      '{',
      '}',
      '\\',
      '\ufeff',
      '\u2028',
      '/**/',
      'null',
      '1e5',
      '"data":',
    ])
    return Buffer.from(
      this.oneOf([text.slice(0, at) + piece + text.slice(at), text.slice(at) + text.slice(0, at), `\ufeff${text}`]),
    )
  }
}

/** All values of a document by where they stand; of long arrays the first. */
function placesIn(root: Place): Place[] {
  const all = [root]
  for (let i = 0; i < all.length; i++) {
    const { holder, key } = all[i]
    const value = (holder as Record<string, unknown>)[key]
    if (typeof value !== 'object' || value === null || value instanceof Raw) continue
    for (const own of Object.keys(value).slice(0, 30)) all.push({ holder: value as Holder, key: own })
  }
  return all
}

function copied(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Raw) return value
  if (Array.isArray(value)) return value.map(copied)
  return Object.fromEntries(Object.entries(value).map(([key, own]) => [key, copied(own)]))
}

function written(value: unknown): string {
  if (value instanceof Raw) return value.text
  if (Array.isArray(value)) return `[${value.map(written).join()}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  return `{${Object.entries(value)
    .map(([key, own]) => `${JSON.stringify(key)}:${written(own)}`)
    .join()}}`
}
