/** The built `approxifer serve`, in a process of its own. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type Agent, type IncomingHttpHeaders, request } from 'node:http'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'

export const LENET = 'models/mnist-lenet.onnx'
export const LENGTH = 'inference-header-content-length'

export type Line = Record<string, unknown>

export class Served {
  readonly lines: Line[] = []
  stderr = ''
  url = ''
  /** Of `--admin-port`. */
  adminUrl = ''
  readonly process: ChildProcess
  readonly #waiting = new Set<() => void>()

  constructor(args: readonly string[], env: Record<string, string> = {}) {
    const { APPROXIFER_TOKEN: _, ...inherited } = process.env
    this.process = spawn(process.execPath, ['dist/cli.js', 'serve', ...args, '--port', '0'], {
      env: { ...inherited, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    createInterface({ input: this.process.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      this.lines.push(JSON.parse(line))
      for (const wake of this.#waiting) wake()
    })
    this.process.stderr?.on('data', (text) => (this.stderr += text))
    this.process.on('exit', () => {
      for (const wake of this.#waiting) wake()
    })
  }

  static async start(args: readonly string[], env?: Record<string, string>): Promise<Served> {
    const served = new Served(args, env)
    const ready = await served.line(({ msg }) => msg === 'ready')
    served.url = String(ready.url)
    served.adminUrl = String(ready.admin)
    return served
  }

  get port(): number {
    return Number(new URL(this.url).port)
  }

  /** The first line like this, when it is there. */
  async line(wanted: (line: Line) => boolean): Promise<Line> {
    while (true) {
      const line = this.lines.find(wanted)
      if (line) return line
      if (this.process.exitCode !== null) throw new Error(`it ended with ${this.process.exitCode}: ${this.stderr}`)
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake)
          resolve()
        }
        this.#waiting.add(wake)
      })
    }
  }

  /** @returns its exit code */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.process.exitCode !== null) return this.process.exitCode
    const ended = once(this.process, 'exit')
    this.process.kill(signal)
    const [code] = await ended
    return code
  }

  infer(body: BodyInit = json(), init: RequestInit = {}, model = 'digits'): Promise<Response> {
    return fetch(`${this.url}/v2/models/${model}/infer`, { method: 'POST', body, ...init })
  }

  async metrics(): Promise<Map<string, number>> {
    return parseMetrics(await (await fetch(`${this.url}/metrics`)).text())
  }

  /** What it writes to a socket that says this, until it closes it. @param end  closes this side at once */
  raw(text: string, { end = false } = {}): Promise<string> {
    return new Promise((resolve, reject) => {
      let told = ''
      const socket = connect({ port: this.port, host: '127.0.0.1', allowHalfOpen: true })
      socket.on('data', (data) => (told += data)).on('error', reject)
      socket.on('end', () => {
        resolve(told)
        socket.destroy()
      })
      if (end) socket.end(text)
      else socket.write(text)
    })
  }
}

/** Events of this name, as they come, each with its model, until it is stopped. */
export async function follow<Told = Record<string, unknown>>(gateway: Served, name: string, query = '') {
  const abort = new AbortController()
  const { body } = await fetch(`${gateway.url}/events${query}`, { signal: abort.signal })
  const told: Told[] = []
  const read = async () => {
    let text = ''
    for await (const bytes of body as ReadableStream<Uint8Array>) {
      const events = (text + new TextDecoder().decode(bytes)).split('\n\n')
      text = events.pop() as string
      for (const event of events) {
        const [, data] = /^event: batch\ndata: (.*)$/s.exec(event) ?? []
        const { model, events = [] } = data ? JSON.parse(data) : {}
        for (const each of events) if (each.event === name) told.push({ model, ...each })
      }
    }
  }
  read().catch(() => {})
  return { told, stop: () => abort.abort() }
}

const digits = readFileSync('models/mnist-digits.npy').subarray(-400 * 784)
export const digit = (i: number) => Float32Array.from(digits.subarray(i * 784, (i + 1) * 784), (byte) => byte / 255)

export function json(i = 0, more: object = {}): string {
  const input = { name: 'input', datatype: 'FP32', shape: [1, 1, 28, 28], data: [...digit(i)] }
  return JSON.stringify({ inputs: [input], ...more })
}

export function binary(i = 0): { body: Uint8Array<ArrayBuffer>; headers: Record<string, string> } {
  const row = digit(i)
  const parameters = { binary_data_size: row.byteLength }
  const inputs = [{ name: 'input', datatype: 'FP32', shape: [1, 1, 28, 28], parameters }]
  const head = new TextEncoder().encode(JSON.stringify({ parameters: { binary_data_output: true }, inputs }))
  const body = new Uint8Array([...head, ...new Uint8Array(row.buffer)])
  return { body, headers: { [LENGTH]: String(head.length) } }
}

/** Prometheus' text format, strictly: every line is a comment of a known kind or a sample. */
export function parseMetrics(text: string): Map<string, number> {
  const samples = new Map<string, number>()
  for (const line of text.split('\n').filter((each) => each)) {
    if (/^# (HELP [a-z_\d]+ .+|TYPE [a-z_\d]+ (counter|gauge|histogram|summary))$/.test(line)) continue
    const match = /^([a-z_\d]+(?:\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*\})?) (\S+)$/.exec(line)
    if (!match) throw new Error(`no line of the format: ${line}`)
    const value = match[2] === '+Inf' ? Number.POSITIVE_INFINITY : Number(match[2])
    if (Number.isNaN(value) && match[2] !== 'Nan' && match[2] !== 'NaN') throw new Error(`no number: ${line}`)
    if (samples.has(match[1])) throw new Error(`twice: ${match[1]}`)
    samples.set(match[1], value)
  }
  return samples
}

export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  text: string
}

/** One request through an agent, whose connections are kept; rejects where there is no answer. */
export function ask(port: number, path: string, agent: Agent, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? 'GET' : 'POST'
    const asked = request({ host: '127.0.0.1', port, path, agent, method }, (response) => {
      let text = ''
      response.on('data', (data) => (text += data)).on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
    })
    asked.on('error', reject).end(body)
  })
}
