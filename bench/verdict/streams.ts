/** The models of bench verdict, and streams of queries to them that are long enough. */

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { npy, npyHeader } from '../../scripts/npy'
import { seeded } from '../../src/base/random'
import { onnx } from '../../test/shared/onnx'

export interface Asked {
  name: string
  path: string
  /** Files by the model's inputs; '' names that of a model whose queries are vectors. */
  inputs: Record<string, string>
  labels: string | undefined
}

/** The sets of images that the package's own models are asked. */
const IMAGES: Record<string, string> = { 'mnist-lenet': 'mnist', 'fashion-lenet': 'fashion', 'cifar-resnet8': 'cifar' }
/** Files of queries for models that lie beside another, and inputs that are tokens. */
const TOKENS = ['input_ids', 'attention_mask']
/** Of a regression: they are no classes. */
const NO_LABELS = ['friedman']

export function modelsIn(folder: string): Asked[] {
  const files = readdirSync(folder)
  const tokens = files.find((file) => file.endsWith(`-${TOKENS[0]}.npy`))?.replace(`-${TOKENS[0]}.npy`, '')
  return files
    .filter((file) => file.endsWith('.onnx'))
    .flatMap((file): Asked[] => {
      const name = basename(file, '.onnx')
      const path = join(folder, file)
      const own = (what: string, of = name) => join(folder, `${of}-${what}.npy`)
      const labels = [own('labels'), `data/${IMAGES[name]}-labels.npy`].find(existsSync)
      const said = { name, path, labels: NO_LABELS.includes(name) ? undefined : labels }
      const vectors = [own('inputs'), `data/${IMAGES[name]}-images.npy`].find(existsSync)
      if (vectors) return [{ ...said, inputs: { '': vectors } }]
      if (!tokens) return []
      return [{ ...said, inputs: Object.fromEntries(TOKENS.map((input) => [input, own(input, tokens)])) }]
    })
}

const MIXER = { side: 48, layers: 20, queries: 800 }

/** A model of this bench's own: layers of self-attention without weights, over random queries. */
export function mixer(): Asked {
  const { side, layers, queries } = MIXER
  const nodes = Array.from({ length: layers }, (_, i) => [
    { op: 'Softmax', inputs: [i ? `m${i - 1}` : 'x'], outputs: [`s${i}`], ints: { axis: -1 } },
    { op: 'MatMul', inputs: [`s${i}`, 'x'], outputs: [`m${i}`] },
  ]).flat()
  const mean = { op: 'ReduceMean', inputs: [`m${layers - 1}`], outputs: ['mean'], ints: { axes: [1], keepdims: 0 } }
  const last = { op: 'Softmax', inputs: ['mean'], outputs: ['probabilities'], ints: { axis: -1 } }
  const x = { name: 'x', shape: ['n', side, side] }
  const path = 'build/verdict/mixer.onnx'
  writeFileSync(path, onnx([x], [{ name: 'probabilities', shape: ['n', side] }], [...nodes, mean, last]))
  const random = seeded(1)
  const values = Float32Array.from({ length: queries * side * side }, () => random.gauss())
  const inputs = 'build/verdict/mixer-inputs.npy'
  writeFileSync(inputs, npy(values, [queries, side, side]))
  return { name: 'mixer', path, inputs: { '': inputs }, labels: undefined }
}

/** As many queries as are wanted: all, and where they are fewer again and again in other orders. */
export function streamOf(asked: Asked, count: number): Asked {
  const { name, inputs, labels } = asked
  const written = (what: string, file: string) => {
    const path = `build/verdict/${name}-${what || 'inputs'}-stream.npy`
    writeFileSync(path, lengthened(readFileSync(file), count))
    return path
  }
  return {
    ...asked,
    inputs: Object.fromEntries(Object.entries(inputs).map(([input, file]) => [input, written(input, file)])),
    labels: labels && written('labels', labels),
  }
}

/** Rows of an .npy file, with the same seed in the same order for inputs and labels. */
function lengthened(file: Buffer, count: number): Buffer {
  const from = 10 + file.readUInt16LE(8)
  const header = file.toString('latin1', 10, from)
  const [, dtype] = /'descr': '([^']*)'/.exec(header) as RegExpExecArray
  const [, lengths] = /'shape': \(([^)]*)\)/.exec(header) as RegExpExecArray
  const [rows, ...shape] = lengths
    .split(',')
    .filter((n) => n.trim())
    .map(Number)
  const each = (file.length - from) / rows
  const random = seeded(2)
  const order: number[] = []
  while (order.length < count) order.push(...random.choose(rows, Math.min(rows, count - order.length)))
  const data = Buffer.concat(order.map((row) => file.subarray(from + row * each, from + (row + 1) * each)))
  return Buffer.concat([npyHeader(`'${dtype}'`, false, [count, ...shape]), data])
}
