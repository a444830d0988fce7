import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { createPredictor } from 'approxifer'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { kindOf } from '../../../src/workers/onnx/kinds'
import { scratch } from '../../shared/cli'

const lenet = readFileSync('models/mnist-lenet.onnx')
const HTML = '<!doctype html>\n<html><head></head></html>'

const misused: [name: string, bytes: Buffer, kind: string][] = [
  ['pointer', Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n'), "a pointer of git-lfs: 'git lfs pull' fetches the file itself"], // biome-ignore format: one line
  ['json', Buffer.from('{"error":"not found"}'), 'JSON, as servers answer with an error: read what it says'],
  ['empty', Buffer.alloc(0), 'an empty file'],
  ['packed', gzipSync(lenet), 'a gzip archive: unpack it first'],
  ['cut', lenet.subarray(0, lenet.length >> 1), 'what begins as one and cannot be read to its end: it is damaged or cut off, so fetch it again'], // biome-ignore format: one line
]
const FILE =
  'an HTML page, saved in the place of the file; on the Hugging Face Hub files are under /resolve/, not /blob/'
const REQUEST =
  'an HTML page, as servers answer where they have no such file or want a login; on the Hugging Face Hub files are under /resolve/'
const PAGE =
  "an HTML page, as dev servers answer where they have no such file; with Vite: import url from './x.onnx?url', and model: url"

const { write } = scratch()
const server = createServer((request, response) => {
  const found = misused.find(([name]) => request.url === `/${name}.onnx`)
  response.end(found ? found[1] : HTML)
})
let base = ''
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.close()
})

describe('a model that is none says what came in its place', () => {
  const refused = async (model: string, kind: string) =>
    await expect(createPredictor({ model, workers: 1 })).rejects.toMatchObject({
      code: 'MODEL',
      message: `model: expected an ONNX model in ${JSON.stringify(model)}, got ${kind}`,
    })

  it.each([...misused, ['html', Buffer.from(HTML), FILE] as const])('a file: %s', async (name, bytes, kind) => {
    await refused(write(`${name}.onnx`, bytes), kind)
  })

  it.each([...misused, ['x', Buffer.from(HTML), REQUEST] as const])('by fetch: %s', async (name, _, kind) => {
    await refused(`${base}/${name}.onnx`, kind)
  })

  it('in a page the dev server gave its index.html: Vite’s ?url is named', () => {
    expect(kindOf(Buffer.from(HTML), { from: 'page', name: 'x.onnx' })).toBe(PAGE)
  })
})
