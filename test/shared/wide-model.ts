/** A model whose answers are far larger than its queries. */

import { onnx } from './onnx'

/** Four numbers in, `width` out: the queries' own, over and over. */
export function wideModel(width: number): Uint8Array<ArrayBuffer> {
  const inputs = [{ name: 'x', shape: ['N', 4] }]
  const wide = Array.from({ length: width / 4 }, () => 'x')
  return onnx(inputs, [{ name: 'y', shape: ['N', width] }], [{ op: 'Concat', inputs: wide, outputs: ['y'], ints: { axis: 1 } }]) // biome-ignore format: one line
}
