/** Real digits in the predictor, on every runtime that has threads. */

import type { Prediction } from 'approxifer'

export interface Digits {
  images: Float32Array[]
  labels: number[]
}

export function digits(images: ArrayBuffer, labels: ArrayBuffer): Digits {
  const pixels = valuesOf(images)
  const classes = valuesOf(labels)
  const image = (i: number) => Float32Array.from(pixels.subarray(i * 784, (i + 1) * 784), (v) => v / 255)
  return { images: Array.from(classes, (_, i) => image(i)), labels: [...classes] }
}

/** The bytes of an .npy file, behind its header. */
const valuesOf = (file: ArrayBuffer) => new Uint8Array(file, 10 + new DataView(file).getUint16(8, true))

/** Share of predictions whose largest logit is the label. */
export function accuracy(predictions: Prediction[], labels: number[]): number {
  const right = predictions.filter(({ output }, i) => {
    const { data } = output.logits
    return data.indexOf(Math.max(...data)) === labels[i]
  })
  return right.length / predictions.length
}
