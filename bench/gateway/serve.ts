/**
 * npm run bench -- serve [--json]: requests a second of `approxifer serve` beside servers written by hand with the same HTTP library
 * (bench/gateway/bare-server.js): one that calls one session, and one with a pool of threads, without batches. 784 values a query (LeNet) and
 * 150,528 (an image of which means are taken, so that almost nothing but the server is measured), as JSON and binary. Clients (autocannon,
 * in this process) keep 16 requests under way. Each is asked for the same query first, and must give the same answer. All take turns;
 * medians.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import autocannon from 'autocannon'
import { seeded } from '../../src/base/random'
import { table } from '../../src/cli/table'
import { freePort } from '../../test/shared/nats-server'
import { onnx } from '../../test/shared/onnx'
import { median } from '../shared/measure'

const ROUNDS = 5
const SECONDS = 3
const CONNECTIONS = 16
const LENGTH = 'inference-header-content-length'
const LEAST = 0.85

const images = onnx(
  [{ name: 'image', shape: ['batch', 3, 224, 224] }],
  [{ name: 'means', shape: ['batch', 3, 7, 7] }],
  [{ op: 'AveragePool', inputs: ['image'], outputs: ['means'], ints: { kernel_shape: [32, 32], strides: [32, 32] } }],
)

/** A server, and what it is asked with. */
interface Server {
  name: string
  port: number
  process: ChildProcess
}

interface Body {
  body: Buffer
  headers: Record<string, string>
}

export default async function serveBench(json: boolean): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'approxifer-serve-'))
  const results = []
  try {
    await writeFile(join(folder, 'images.onnx'), images)
    const cases = [
      { D: 784, model: 'models/mnist-lenet.onnx', input: 'input', shape: [1, 28, 28] },
      { D: 150_528, model: join(folder, 'images.onnx'), input: 'image', shape: [3, 224, 224] },
    ]
    for (const each of cases) {
      const servers = await start(each.model)
      try {
        for (const binary of [false, true]) {
          const perSecond = await inTurn(servers, bodyOf(each.input, each.shape, binary))
          results.push({ D: each.D, binary, perSecond })
        }
      } finally {
        for (const server of servers) server.process.kill('SIGKILL')
      }
    }
  } finally {
    await rm(folder, { recursive: true })
  }
  if (json) return console.log(JSON.stringify(results, null, 2))
  print(results)
}

async function start(model: string): Promise<Server[]> {
  const serve = (workers: number, port: number) =>
    ['dist/cli.js', 'serve', `m=${model}`, '--workers', String(workers), '--port', String(port)] // biome-ignore format: one line
  const commands: [name: string, args: (port: number) => string[]][] = [
    ['one session', (port) => ['bench/gateway/bare-server.js', model, 'session', String(port)]],
    ['serve, 1 worker', (port) => serve(1, port)],
    ['pool of 2', (port) => ['bench/gateway/bare-server.js', model, 'pool', String(port)]],
    ['serve, 2 workers', (port) => serve(2, port)],
  ]
  return Promise.all(
    commands.map(async ([name, args]) => {
      const port = await freePort()
      return { name, port, process: spawn(process.execPath, args(port), { stdio: ['ignore', 'ignore', 'inherit'] }) }
    }),
  )
}

function bodyOf(name: string, shape: readonly number[], binary: boolean): Body {
  const random = seeded(1)
  const row = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.next())
  const input = { name, datatype: 'FP32', shape: [1, ...shape] }
  if (!binary) {
    const body = Buffer.from(JSON.stringify({ inputs: [{ ...input, data: [...row] }] }))
    return { body, headers: { 'content-type': 'application/json' } }
  }
  const parameters = { binary_data_size: row.byteLength }
  const head = Buffer.from(
    JSON.stringify({ parameters: { binary_data_output: true }, inputs: [{ ...input, parameters }] }),
  )
  const body = Buffer.concat([head, Buffer.from(row.buffer)])
  return { body, headers: { 'content-type': 'application/octet-stream', [LENGTH]: String(head.length) } }
}

/** Requests a second of each server, round after round. */
async function inTurn(servers: readonly Server[], request: Body): Promise<Record<string, number>> {
  const answers = await Promise.all(servers.map((server) => answerOf(server, request)))
  for (const answer of answers) {
    if (answer !== answers[0]) throw new Error(`the servers answer differently: ${answer}, ${answers[0]}`)
  }
  const all = Object.fromEntries(servers.map(({ name }) => [name, [] as number[]]))
  for (let round = 0; round <= ROUNDS; round++) {
    for (const { name, port } of servers) {
      const { requests, errors, non2xx } = await autocannon({ url: urlOf(port), method: 'POST', ...request, connections: CONNECTIONS, duration: SECONDS }) // biome-ignore format: one line
      if (errors || non2xx) throw new Error(`${name}: ${errors} errors, ${non2xx} other statuses`)
      if (round) all[name].push(requests.average) // the first warms up
    }
  }
  return Object.fromEntries(Object.entries(all).map(([name, values]) => [name, median(values)]))
}

const urlOf = (port: number) => `http://127.0.0.1:${port}/v2/models/m/infer`

/** What it answers, when it is up: the output's values, whichever way they come. */
async function answerOf({ port, name }: Server, { body, headers }: Body): Promise<string> {
  for (let tries = 0; tries < 200; tries++) {
    const response = await fetch(urlOf(port), { method: 'POST', body: new Uint8Array(body), headers }).catch(
      () => undefined,
    )
    if (!response?.ok) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      continue
    }
    const bytes = Buffer.from(await response.arrayBuffer())
    const length = response.headers.get(LENGTH)
    return length
      ? bytes.subarray(Number(length)).toString('hex')
      : JSON.stringify(JSON.parse(String(bytes)).outputs[0].data)
  }
  throw new Error(`${name} does not answer`)
}

function print(results: { D: number; binary: boolean; perSecond: Record<string, number> }[]): void {
  const rows = table(['values a query', 'sent as', 'one session', 'serve, 1 worker', 'ratio', 'pool of 2', 'serve, 2 workers', 'ratio']) // biome-ignore format: one line
  for (const { D, binary, perSecond } of results) {
    const ratio = (ours: string, theirs: string) => `${(perSecond[ours] / perSecond[theirs]).toFixed(2)}x`
    const each = (name: string) => perSecond[name].toFixed(0)
    const alone = [each('one session'), each('serve, 1 worker'), ratio('serve, 1 worker', 'one session')]
    const pooled = [each('pool of 2'), each('serve, 2 workers'), ratio('serve, 2 workers', 'pool of 2')]
    rows.push([D.toLocaleString('en'), binary ? 'binary' : 'JSON', ...alone, ...pooled])
  }
  console.log(`requests a second, ${CONNECTIONS} under way; at least ${LEAST}x is wanted\n${rows}`)
  for (const D of new Set(results.map((result) => result.D))) {
    const [text, binary] = results
      .filter((result) => result.D === D)
      .map(({ perSecond }) => perSecond['serve, 1 worker'])
    console.log(`${D.toLocaleString('en')} values: binary is ${(binary / text).toFixed(1)} times as fast as JSON`)
  }
}
