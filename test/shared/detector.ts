/** The detector of test/models: boxes in pixels, and scores of which the memory can learn the half. */

import { readFileSync } from 'node:fs'
import { extended } from './onnx'

export const detector = readFileSync('test/models/detector.onnx')
export const detectorInputs = 'test/models/detector-inputs.npy'

/** Doublings of the scores' logits before their sine is taken: 4,096 times, so that nothing near tells it. */
const DOUBLINGS = 12

/** The same with scores that the input decides and nobody can foretell: |sin(4,096 s)| of what they were made of. */
export function unforeseeable(): Uint8Array<ArrayBuffer> {
  const own = detector.indexOf('\x12\x06scores') // the output of the node that makes them, which is called otherwise now
  const model = Uint8Array.from(detector)
  model.set(new TextEncoder().encode('unused'), own + 2)
  const name = (i: number) => (i ? `s2 times ${2 ** i}` : 's2')
  const doubled = Array.from({ length: DOUBLINGS }, (_, i) => {
    return { op: 'Add', inputs: [name(i), name(i)], outputs: [name(i + 1)] }
  })
  return extended(model, [
    ...doubled,
    { op: 'Sin', inputs: [name(DOUBLINGS)], outputs: ['sine'] },
    { op: 'Abs', inputs: ['sine'], outputs: ['scores'] },
  ])
}
