/** Tiny .onnx files, written field by field (onnx.proto), for models nobody would export on purpose. */

type Field = [number: number, value: number | string | Uint8Array | Field[]]

const FLOAT = 1
export const types = { float32: FLOAT, int64: 7, float64: 11, float16: 10 }

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]
}

function encode(fields: Field[]): Uint8Array<ArrayBuffer> {
  const bytes: number[] = []
  for (const [number, value] of fields) {
    if (typeof value === 'number') bytes.push(...varint(number << 3), ...varint(value))
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
  shape: (number | string)[]
  type?: number
}

interface Node {
  op: string
  inputs: string[]
  outputs: string[]
  /** Integer attributes. */
  ints?: Record<string, number>
}

function valueInfo({ name, shape, type = FLOAT }: Value): Field[] {
  const dims = shape.map((dim): Field => [1, [typeof dim === 'number' ? [1, dim] : [2, dim]]])
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

export function onnx(inputs: Value[], outputs: Value[], nodes: Node[]): Uint8Array<ArrayBuffer> {
  const graph: Field[] = [
    ...nodes.map(
      ({ op, inputs, outputs, ints = {} }): Field => [
        1,
        [
          ...inputs.map((name): Field => [1, name]),
          ...outputs.map((name): Field => [2, name]),
          [4, op],
          ...Object.entries(ints).map(
            ([name, i]): Field => [
              5,
              [
                [1, name],
                [3, i],
                [20, 2],
              ],
            ],
          ),
        ],
      ],
    ),
    [2, 'test'],
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
