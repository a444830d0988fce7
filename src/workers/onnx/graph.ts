/**
 * Reads from an ONNX file which node computes each output. Only the necessary fields are parsed (onnx.proto: ModelProto 7 graph;
 * GraphProto 1 node; NodeProto 1 input, 2 output, 4 op_type, 5 attribute); weights are skipped without a copy.
 */

/** Byte range of a field's value. */
interface Extent {
  readonly from: number
  readonly to: number
}

/** The node that computes an output. */
export interface LastNode {
  readonly op: string
  /** The node's axis in the output's shape; undefined if it has none, or the output is reshaped after it. */
  readonly axis: number | undefined
}

/** Operators that change the layout or type of values, but not the values; they are skipped. */
const KEEPING = ['Identity', 'Cast', 'CastLike', 'Dropout', 'QuantizeLinear', 'DequantizeLinear', 'Normalizer']
const RESHAPING = ['Reshape', 'Squeeze', 'Unsqueeze', 'Flatten', 'Transpose']
/** Most nodes that are skipped, since a malicious file may contain a cycle. */
const MOST_PASSED = 32
/** Depth to which a divisor's inputs are searched for a vector norm. */
const NEAR = 4

interface Node {
  readonly op: string
  readonly inputs: readonly string[]
  readonly axis: number | undefined
  readonly norm: string | undefined
}

/** @returns the nodes by output name; empty if the file cannot be parsed */
export function lastNodes(bytes: Uint8Array, outputs: readonly string[]): Record<string, LastNode> {
  try {
    const graph = [...fields(bytes, { from: 0, to: bytes.length })].find(([field]) => field === 7)?.[1]
    if (!graph) return {}
    const makers = new Map<string, Extent>()
    for (const [field, span] of fields(bytes, graph)) {
      if (field !== 1) continue
      for (const [part, name] of fields(bytes, span)) if (part === 2) makers.set(textIn(bytes, name), span)
    }
    const nodeOf = (value: string) => {
      const span = makers.get(value)
      return span && readNode(bytes, span)
    }
    const all = outputs.flatMap((output) => {
      const last = lastOf(output, nodeOf)
      return last ? [[output, last] as const] : []
    })
    return Object.fromEntries(all)
  } catch {
    return {} // the runtime reports the error
  }
}

function lastOf(output: string, nodeOf: (value: string) => Node | undefined): LastNode | undefined {
  let node = nodeOf(output)
  let isReshaped = false
  for (let passed = 0; node && passed < MOST_PASSED; passed++) {
    const { op, inputs, norm } = node
    if (!KEEPING.includes(op) && !RESHAPING.includes(op)) break
    if (op === 'Normalizer' && norm === 'L2') return { op: 'L2Norm', axis: undefined }
    const before = nodeOf(inputs[0])
    if (!before) break
    isReshaped ||= RESHAPING.includes(op)
    node = before
  }
  if (!node) return undefined
  if (node.op === 'Div' && isLength(node.inputs[1], nodeOf, NEAR)) return { op: 'L2Norm', axis: undefined }
  // The specification's default axis of these operators.
  const usual = node.op === 'Softmax' || node.op === 'LogSoftmax' ? -1 : undefined
  return { op: node.op, axis: isReshaped ? undefined : (node.axis ?? usual) }
}

function isLength(value: string, nodeOf: (value: string) => Node | undefined, near: number): boolean {
  const node = nodeOf(value)
  if (!node || !near) return false
  return node.op === 'ReduceL2' || node.op === 'ReduceSumSquare' || isLength(node.inputs[0], nodeOf, near - 1)
}

function readNode(bytes: Uint8Array, span: Extent): Node {
  let op = ''
  const inputs: string[] = []
  let axis: number | undefined
  let norm: string | undefined
  for (const [field, value] of fields(bytes, span)) {
    if (field === 1) inputs.push(textIn(bytes, value))
    else if (field === 4) op = textIn(bytes, value)
    else if (field === 5) {
      const { name, integer, text } = readAttribute(bytes, value)
      if (name === 'axis') axis = integer
      if (name === 'norm') norm = text
    }
  }
  return { op, inputs, axis, norm }
}

/** Fields of AttributeProto: 1 name, 3 i, 4 s. */
function readAttribute(bytes: Uint8Array, span: Extent) {
  let [name, text] = ['', '']
  let integer: number | undefined
  for (const [field, value, number] of fields(bytes, span)) {
    if (field === 1) name = textIn(bytes, value)
    else if (field === 3) integer = number
    else if (field === 4) text = textIn(bytes, value)
  }
  return { name, integer, text }
}

/** Decodes a copy, since TextDecoder does not accept shared memory. */
const textIn = (bytes: Uint8Array, { from, to }: Extent) => decoder.decode(bytes.slice(from, to))
const decoder = new TextDecoder()

/** The fields of a protobuf message: number, byte range, and the value of an integer. @throws RangeError if the message is truncated */
function* fields(bytes: Uint8Array, { from, to }: Extent): Generator<[field: number, span: Extent, integer: number]> {
  let at = from
  /** Computed as two parts, since values may have 64 bits or be negative. */
  const varint = () => {
    let [low, high] = [0, 0]
    for (let i = 0; i < 10; i++) {
      if (at >= to) break
      const byte = bytes[at++]
      if (i < 4) low += (byte & 127) * 2 ** (7 * i)
      else high += (byte & 127) * 2 ** (7 * (i - 4))
      if (byte < 128) return (high >= 2 ** 35 ? high - 2 ** 36 : high) * 2 ** 28 + low
    }
    throw new RangeError('the message is cut off')
  }
  while (at < to) {
    const key = varint()
    const kind = key & 7
    let integer = 0
    let start = at
    if (kind === 0) integer = varint()
    else if (kind === 2) {
      const length = varint()
      start = at
      at += length
    } else at += kind === 1 ? 8 : 4
    if (at > to || at < start) throw new RangeError('the message is cut off')
    yield [key >>> 3, { from: start, to: at }, integer]
  }
}
