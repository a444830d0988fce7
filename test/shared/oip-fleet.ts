/** What servers in tests have to run and to answer: the toy model of the recordings (x FP32[N,8] -> y FP32[N,3], idx INT64[N]). */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { InferenceSession, Tensor } from 'onnxruntime-web'
import { findPython } from '../../scripts/programs.js'
import { seeded } from '../../src/base/random'
import type { Model } from './oip-quirks'

export async function toyModel(
  file = 'test/oip/toy.onnx',
): Promise<Model & { y(row: Float32Array): Promise<number[]> }> {
  const session = await InferenceSession.create(new Uint8Array(readFileSync(file)))
  let last: Promise<unknown> = Promise.resolve() // it runs one call at a time
  const run = (x: Float32Array, rows: number) => {
    const result = last.then(() => session.run({ x: new Tensor('float32', x, [rows, 8]) }))
    last = result.catch(() => {})
    return result
  }
  return {
    name: 'toy',
    inputs: [{ name: 'x', shape: [8] }],
    outputs: [
      { name: 'y', datatype: 'FP32', shape: [3] },
      { name: 'idx', datatype: 'INT64', shape: [] },
    ],
    async run([x], rows) {
      const { y, idx } = await run(x, rows)
      return [
        { name: 'y', datatype: 'FP32', shape: [3], values: [...(y.data as Float32Array)] },
        { name: 'idx', datatype: 'INT64', shape: [], values: [...(idx.data as BigInt64Array)].map(Number) },
      ]
    },
    y: async (row) => [...((await run(row, 1)).y.data as Float32Array)],
  }
}

/** Different queries, always the same. */
export function toyQueries(count: number): Float32Array[] {
  const random = seeded(7)
  return Array.from({ length: count }, () => Float32Array.from({ length: 8 }, () => random.gauss()))
}

export const python = findPython()

/** A server in Python with its own onnxruntime, in a process of its own. */
export class PythonServer {
  private constructor(
    readonly process: ChildProcess,
    readonly url: string,
  ) {}

  static async start(file = 'test/oip/toy.onnx'): Promise<PythonServer> {
    const child = spawn(python as string, ['test/fixtures/oip_server.py', file, 'toy'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = '' // onnxruntime has much to say where all is well
    child.stderr.on('data', (text) => {
      said = `${said}${text}`.slice(-5000)
    })
    const [line] = await Promise.race([
      once(createInterface({ input: child.stdout }), 'line'),
      once(child, 'exit').then(() => Promise.reject(new Error(`the Python server ended: ${said}`))),
    ])
    return new PythonServer(child, `http://127.0.0.1:${line}`)
  }

  async fault(what: 'none' | 'lie' | '500'): Promise<void> {
    await fetch(`${this.url}/fault/${what}`, { method: 'POST' })
  }

  async counts(): Promise<{ binary: number; json: number }> {
    return (await fetch(`${this.url}/counts`)).json()
  }

  async stop(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    this.process.kill('SIGKILL')
    await once(this.process, 'exit')
  }
}
