/** What an ONNX file tells of how its outputs are computed, read of its bytes. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, it } from 'vitest'
import { lastNodes } from '../../../src/workers/onnx/graph'
import { OnnxModel } from '../../../src/workers/onnx/model'
import { readModel } from '../../../src/workers/onnx/model-file'
import { onnx } from '../../shared/onnx'

type Nodes = Parameters<typeof onnx>[2]

const file = (nodes: Nodes, output = 'y') =>
  onnx([{ name: 'x', shape: ['N', 4] }], [{ name: output, shape: ['N', 4] }], nodes)

it.each<[string, Nodes, { op: string; axis: number | undefined }]>([
  ['a softmax, with its axis', [{ op: 'Softmax', inputs: ['x'], outputs: ['y'], ints: { axis: 1 } }], { op: 'Softmax', axis: 1 }],
  ['an axis from the end', [{ op: 'Softmax', inputs: ['x'], outputs: ['y'], ints: { axis: -1 } }], { op: 'Softmax', axis: -1 }],
  ['what only converts is passed over', [
    { op: 'Sigmoid', inputs: ['x'], outputs: ['a'] },
    { op: 'Identity', inputs: ['a'], outputs: ['b'] },
    { op: 'Flatten', inputs: ['b'], outputs: ['y'] },
  ], { op: 'Sigmoid', axis: undefined }],
  ['a division by the length', [
    { op: 'ReduceL2', inputs: ['x'], outputs: ['a'] },
    { op: 'Div', inputs: ['x', 'a'], outputs: ['y'] },
  ], { op: 'L2Norm', axis: undefined }],
  ['a cycle, as only forgers write it', [
    { op: 'Identity', inputs: ['b'], outputs: ['y'] },
    { op: 'Identity', inputs: ['y'], outputs: ['b'] },
  ], { op: 'Identity', axis: undefined }],
])('%s', (_, nodes, expected) => {
  expect(lastNodes(file(nodes), ['y'])).toEqual({ y: expected })
}) // biome-ignore format: one line

it('bytes in shared memory are read, and those that are no model, or cut off, tell nothing', () => {
  const bytes = file([{ op: 'Softmax', inputs: ['x'], outputs: ['y'] }])
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length))
  shared.set(bytes)
  expect(lastNodes(shared, ['y']).y.op).toBe('Softmax')
  expect(lastNodes(bytes, ['z'])).toEqual({})
  for (let length = 0; length < bytes.length; length++) lastNodes(bytes.slice(0, length), ['y'])
  expect(lastNodes(new TextEncoder().encode('no model'), ['y'])).toEqual({})
})

it('the models of this repository tell theirs', () => {
  const op = (path: string, output: string) => lastNodes(readFileSync(path), [output])[output]?.op
  expect(op('models/mnist-lenet.onnx', 'logits')).toBeTypeOf('string')
})

it('config.json is read beside a model that is a file, or above its folder, and nowhere else', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'config-'))
  const path = join(folder, 'model.onnx')
  const bytes = file([{ op: 'Identity', inputs: ['x'], outputs: ['logits'] }], 'logits')
  writeFileSync(path, bytes)
  const read = async (model: string | URL | Uint8Array) => (await readModel(model)).config
  try {
    expect(await read(path)).toBeUndefined()
    writeFileSync(join(folder, 'config.json'), '{"name": "of another tool"}')
    expect(await read(path)).toBeUndefined()
    const config = { model_type: 'bert', problem_type: 'multi_label_classification', id2label: { 0: 'a', 1: 'b', 2: 'c', 3: 'd' } } // biome-ignore format: one line
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
    const told = { problemType: 'multi_label_classification', labels: 4 }
    expect([await read(path), await read(pathToFileURL(path)), await read(bytes)]).toEqual([told, told, undefined])
    const model = await OnnxModel.load(await readModel(path))
    expect(model.hints).toEqual([{ config: told, node: { op: 'Identity', axis: undefined } }])
    await model.close()
  } finally {
    rmSync(folder, { recursive: true })
  }
})
