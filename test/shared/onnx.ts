/** Tiny .onnx files, written field by field (onnx.proto), for models nobody would export on purpose. */

type Field = [number: number, value: number | bigint | string | Uint8Array | Field[]]

const FLOAT = 1
export const types = {
  ...{ float32: FLOAT, float64: 11, float16: 10, bool: 9, string: 8 },
  ...{ int8: 3, int16: 5, int32: 6, int64: 7, uint8: 2, uint16: 4, uint32: 12, uint64: 13 },
}

/** Negative numbers as protobuf has them: all 64 bits of the two's complement. */
function varint(value: number | bigint): number[] {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, BigInt(value))
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128)
  return [...bytes, Number(rest)]
}

function encode(fields: Field[]): Uint8Array<ArrayBuffer> {
  const bytes: number[] = []
  for (const [number, value] of fields) {
    if (typeof value === 'number' || typeof value === 'bigint') bytes.push(...varint(number << 3), ...varint(value))
    else {
      const body =
        typeof value === 'string' ? new TextEncoder().encode(value) : Array.isArray(value) ? encode(value) : value
      bytes.push(...varint((number << 3) | 2), ...varint(body.length), ...body)
    }
  }
  return Uint8Array.from(bytes)
}

interface Value {
  name: string
  /** A number, a named dynamic dimension, or null for one without a name, as `None` in an exporter gives. */
  shape: (number | string | null)[]
  type?: number
}

interface Node {
  op: string
  inputs: string[]
  outputs: string[]
  /** Integer attributes, and lists of them. */
  ints?: Record<string, number | number[]>
}

function valueInfo({ name, shape, type = FLOAT }: Value): Field[] {
  const dims = shape.map((dim): Field => [1, dim === null ? [] : [typeof dim === 'number' ? [1, dim] : [2, dim]]])
  return [
    [1, name],
    [
      2,
      [
        [
          1,
          [
            [1, type],
            [2, dims],
          ],
        ],
      ],
    ],
  ]
}

function attribute(name: string, value: number | number[]): Field[] {
  const numbers = Array.isArray(value) ? value.map((i): Field => [8, i]) : ([[3, value]] as Field[])
  return [[1, name], ...numbers, [20, Array.isArray(value) ? 7 : 2]]
}

function nodeOf({ op, inputs, outputs, ints = {} }: Node): Field {
  return [
    1,
    [
      ...inputs.map((name): Field => [1, name]),
      ...outputs.map((name): Field => [2, name]),
      [4, op],
      ...Object.entries(ints).map(([name, value]): Field => [5, attribute(name, value)]),
    ],
  ]
}

/** A model with more nodes behind its own: what comes twice in a message is merged. */
export function extended(model: Uint8Array, nodes: Node[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([...model, ...encode([[7, nodes.map(nodeOf)]])])
}

/** Floats that lie in another file. */
interface External {
  name: string
  length: number
  file: string
  offset?: number
}

function initializer({ name, length, file, offset = 0 }: External): Field[] {
  const entry = (key: string, value: string): Field => [
    13,
    [
      [1, key],
      [2, value],
    ],
  ]
  const place = [entry('location', file), entry('offset', `${offset}`), entry('length', `${4 * length}`)]
  return [[1, length], [2, FLOAT], [8, name], ...place, [14, 1]]
}

export function onnx(
  inputs: Value[],
  outputs: Value[],
  nodes: Node[],
  weights: External[] = [],
): Uint8Array<ArrayBuffer> {
  const graph: Field[] = [
    ...nodes.map(nodeOf),
    [2, 'test'],
    ...weights.map((tensor): Field => [5, initializer(tensor)]),
    ...inputs.map((value): Field => [11, valueInfo(value)]),
    ...outputs.map((value): Field => [12, valueInfo(value)]),
  ]
  return encode([
    [1, 8],
    [7, graph],
    [
      8,
      [
        [1, ''],
        [2, 17],
      ],
    ],
  ])
}
