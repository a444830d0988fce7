/** Processes of `approxifer work` around a real NATS server, which can be killed, drained, and cut off; and queries that never stop. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import type { Predictor } from '../../src/predictor/predictor'

const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url))

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** One machine of a fleet. */
export class Machine {
  readonly names: readonly string[]
  readonly #child: ChildProcess
  readonly #exit: Promise<number | null>

  private constructor(child: ChildProcess, names: readonly string[], exit: Promise<number | null>) {
    this.#child = child
    this.names = names
    this.#exit = exit
  }

  /** @param within  a command that runs another one, such as `ip netns exec NAME`; @returns when its workers can be found */
  static async start(url: string, fleet: string, workers: number, within: readonly string[] = []): Promise<Machine> {
    const work = ['work', path('models/mnist-lenet.onnx'), '--nats', url, '--fleet', fleet, '--workers', `${workers}`]
    const [command, ...args] = [...within, process.execPath, path('dist/cli.js'), ...work, '--json']
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    running.add(child)
    let [out, errors] = ['', '']
    const exit = new Promise<number | null>((resolve) => child.once('exit', resolve))
    void exit.then(() => running.delete(child))
    const names = await new Promise<string[]>((resolve, reject) => {
      child.stderr?.on('data', (text) => {
        errors += text
      })
      child.stdout?.on('data', (text) => {
        out += text
        if (out.includes('\n')) resolve(JSON.parse(out.slice(0, out.indexOf('\n'))).names)
      })
      void exit.then((code) => reject(new Error(`a worker's process ended with ${code}: ${errors}${out}`)))
    })
    return new Machine(child, names, exit)
  }

  /** As a power cut does. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exit
  }

  /** As an operator does. @returns the exit code */
  drain(): Promise<number | null> {
    this.#child.kill('SIGTERM')
    return this.#exit
  }

  /** Stops it in its tracks, or lets it go on: its kernel keeps the connection. */
  freeze(on: boolean): void {
    this.#child.kill(on ? 'SIGSTOP' : 'SIGCONT')
  }
}

const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' })

/** A network namespace for each machine, all on one bridge; needs to be root, on Linux. */
export class Network {
  readonly #bridge = `apx${process.pid % 100_000}`
  readonly #subnet = `10.213.${process.pid % 250}`
  readonly #spaces: string[] = []

  /** Of this process, for the server. */
  readonly host = `${this.#subnet}.1`

  /** @throws where this process may not */
  constructor() {
    ip('link', 'add', this.#bridge, 'type', 'bridge')
    ip('addr', 'add', `${this.host}/24`, 'dev', this.#bridge)
    ip('link', 'set', this.#bridge, 'up')
  }

  /** A new machine's place. @returns the command that runs another one there */
  add(): string[] {
    const at = this.#spaces.length
    const space = `${this.#bridge}n${at}`
    ip('netns', 'add', space)
    this.#spaces.push(space)
    ip('link', 'add', this.#cable(at), 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space)
    ip('link', 'set', this.#cable(at), 'master', this.#bridge, 'up')
    ip('-n', space, 'addr', 'add', `${this.#subnet}.${at + 2}/24`, 'dev', 'eth0')
    ip('-n', space, 'link', 'set', 'eth0', 'up')
    ip('-n', space, 'link', 'set', 'lo', 'up')
    return ['ip', 'netns', 'exec', space]
  }

  /** Pulls a machine's cable, or plugs it in again. */
  cut(at: number, on: boolean): void {
    ip('link', 'set', this.#cable(at), on ? 'down' : 'up')
  }

  close(): void {
    for (const space of this.#spaces.splice(0)) ip('netns', 'del', space)
    ip('link', 'del', this.#bridge)
  }

  #cable(at: number): string {
    return `${this.#bridge}v${at}`
  }
}

interface Query {
  at: number
  ms: number | undefined
  error: string | undefined
}

export interface Figures {
  queries: number
  failed: Record<string, number>
  /** From the phase's begin to when the last of its queries that failed was asked, ms. */
  failingMs: number
  p50: number
  p99: number
  most: number
  unsettled: number
  wrong: number
}

/** Queries at a steady rate, whatever becomes of those before. */
export class Load {
  readonly #queries: Query[] = []
  readonly #open = new Set<Promise<void>>()
  #timer: ReturnType<typeof setTimeout> | undefined
  #wrong = 0

  /** @param answers  what the model itself says to the inputs: what is called exact must be that, to the bit */
  constructor(
    readonly predictor: Pick<Predictor, 'predict'>,
    readonly inputs: readonly Float32Array[],
    readonly answers: readonly Float32Array[],
    readonly perSecond: number,
  ) {}

  start(): void {
    const began = performance.now()
    let asked = 0
    const tick = () => {
      for (const due = ((performance.now() - began) * this.perSecond) / 1000; asked < due; asked++) this.#ask(asked)
      this.#timer = setTimeout(tick, 1)
    }
    tick()
  }

  /** Ends it, and waits for what is open. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    await Promise.race([Promise.all(this.#open), new Promise((resolve) => setTimeout(resolve, 15_000).unref())])
  }

  #ask(index: number): void {
    const at = index % this.inputs.length
    const query: Query = { at: performance.now(), ms: undefined, error: undefined }
    this.#queries.push(query)
    const done = this.predictor.predict(this.inputs[at]).then(
      ({ output, status }) => {
        query.ms = performance.now() - query.at
        const [{ data }] = Object.values(output)
        if (status === 'exact' && data.some((value, i) => value !== this.answers[at][i])) this.#wrong++
      },
      ({ code, message }) => {
        query.ms = performance.now() - query.at
        query.error = code ?? message
      },
    )
    this.#open.add(done)
    void done.then(() => this.#open.delete(done))
  }

  /** Of the queries that were asked in a time. */
  figures(from: number, to: number): Figures {
    const asked = this.#queries.filter(({ at }) => at >= from && at < to)
    const failed: Record<string, number> = {}
    let failingMs = 0
    for (const { at, error } of asked) {
      if (error === undefined) continue
      failed[error] = (failed[error] ?? 0) + 1
      failingMs = at - from
    }
    const times = asked.flatMap(({ ms, error }) => (ms === undefined || error ? [] : [ms])).sort((a, b) => a - b)
    const quantile = (share: number) => times[Math.ceil(share * times.length) - 1] ?? Number.NaN
    const unsettled = asked.filter(({ ms }) => ms === undefined).length
    const tail = { p50: quantile(0.5), p99: quantile(0.99), most: quantile(1) }
    return { queries: asked.length, failed, failingMs, ...tail, unsettled, wrong: this.#wrong }
  }
}
