/** Models that keep their weights in other files. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createPredictor, localWorkers } from 'approxifer'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { weightFiles } from '../../../src/workers/onnx/external-data'
import { fingerprintOf, readModel } from '../../../src/workers/onnx/model-file'
import { onnx } from '../../shared/onnx'

const inputs = [{ name: 'x', shape: ['batch', 3] }]
const outputs = [{ name: 'y', shape: ['batch', 3] }]
const nodes = [
  { op: 'Mul', inputs: ['x', 'scale'], outputs: ['scaled'] },
  { op: 'Add', inputs: ['scaled', 'bias'], outputs: ['y'] },
]
const FILE = 'model.onnx.data'
/** @param file  where the bias is, too, behind the scale; or elsewhere */
const model = (file: string, other = file) =>
  onnx(inputs, outputs, nodes, [
    { name: 'scale', length: 3, file },
    { name: 'bias', length: 3, file: other, offset: other === file ? 12 : 0 },
  ])
const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer)
const [scale, bias] = [floats(2, 3, 4), floats(10, 20, 30)]
const weights = Uint8Array.of(...scale, ...bias)
const onWarning = () => {}

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'approxifer-weights-'))
  await mkdir(join(folder, 'parts'))
  await writeFile(join(folder, 'model.onnx'), model(FILE))
  await writeFile(join(folder, FILE), weights)
  await writeFile(join(folder, 'two.onnx'), model(FILE, 'parts/bias'))
  await writeFile(join(folder, 'parts/bias'), bias)
})
afterAll(() => rm(folder, { recursive: true }))

async function predicts(given: Parameters<typeof createPredictor>[0]) {
  const predictor = await createPredictor({ workers: 1, onWarning, ...given })
  try {
    const { output, status } = await predictor.predict(Float32Array.of(1, 2, 3))
    return { values: [...output.y.data], status }
  } finally {
    await predictor.close()
  }
}
const right = { values: [12, 26, 42], status: 'exact' }

describe('weights in other files', () => {
  it('are found beside the model, in folders below it, too', async () => {
    expect(await predicts({ model: join(folder, 'model.onnx') })).toEqual(right)
    expect(await predicts({ model: join(folder, 'two.onnx') })).toEqual(right)
  })

  it('are found beside a URL', async () => {
    const server = createServer(({ url }, response) => response.end(url === `/a/${FILE}` ? weights : model(FILE)))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    expect(await predicts({ model: `http://127.0.0.1:${port}/a/model.onnx?v=1` })).toEqual(right)
    expect(await predicts({ model: new URL(`http://127.0.0.1:${port}/a/`) })).toEqual(right)
    server.close()
  })

  it('are given as bytes, or as a path', async () => {
    expect(await predicts({ model: model(FILE), onnx: { externalData: { [FILE]: weights } } })).toEqual(right)
    const externalData = { [FILE]: weights, other: join(folder, 'parts/bias') }
    expect(await predicts({ model: model(FILE, 'other'), onnx: { externalData } })).toEqual(right)
  })

  it('two models that differ in these alone are different models', async () => {
    const path = join(folder, 'model.onnx')
    const [one, same, other] = await Promise.all([undefined, { [FILE]: weights }, { [FILE]: floats(1, 2, 3, 4, 5, 6) }].map((given) => readModel(path, given).then(fingerprintOf))) // biome-ignore format: one line
    expect(one).toBe(same)
    expect(other).not.toBe(one)
    const [worker] = await localWorkers({ model: path, workers: 1, onWarning })
    await worker.close()
    expect(worker.fingerprint).toBe(one)
  })

  it.each<[string, unknown, object | undefined, RegExp]>([
    ['bytes alone', model(FILE), undefined, /weights in another file.*externalData: \{ "model.onnx.data"/],
    ['a data URL alone', `data:,${encodeURIComponent('')}`, { x: weights }, /it has none elsewhere/],
    [
      'a name that it does not have',
      model(FILE),
      { 'model.onnx.date': weights },
      /model\.onnx\.data\), got model\.onnx\.date/,
    ],
    ['no bytes', model(FILE), { [FILE]: 7 }, /externalData\.model\.onnx\.data: expected a path, a URL or bytes, got 7/],
    ['too few bytes', model(FILE), { [FILE]: scale }, /cannot be loaded/],
    [
      'a missing file',
      model(FILE),
      { [FILE]: '/nowhere/weights' },
      /the model's weights '\/nowhere\/weights' cannot be read/,
    ],
    ['no object', model(FILE), [weights], /externalData/],
  ])('%s', async (_, given, externalData, message) => {
    const onnx = { ...(externalData && { externalData }) } as { externalData: Record<string, Uint8Array> }
    await expect(predicts({ model: given as Uint8Array, onnx })).rejects.toThrow(message)
  })

  it.each(['../secret', '/etc/passwd', 'C:\\x', 'a/../../b', 'http://elsewhere/x'])(
    'a model that wants %s reads nothing',
    async (name) => {
      await writeFile(join(folder, 'bad.onnx'), model(name))
      const error = { code: 'MODEL', message: expect.stringContaining('expected a file beside it') }
      await expect(predicts({ model: join(folder, 'bad.onnx') })).rejects.toMatchObject(error)
    },
  )

  it('names are found once each, at the end of the bytes, too, and none where there are none', () => {
    const bytes = model('a', 'b')
    expect(weightFiles(bytes)).toEqual(['a', 'b'])
    expect(weightFiles(model('a'))).toEqual(['a'])
    const mark = bytes.indexOf(Uint8Array.of(8)[0])
    expect(weightFiles(bytes.subarray(0, mark))).toEqual([])
    expect(weightFiles(new TextEncoder().encode('\n\blocation'))).toEqual([])
  })
})
