/** A real NATS server on a port of its own, with a configuration of its own; it can be killed and started again. */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findNats } from '../../scripts/programs.js'

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export const natsInstalled = findNats() !== undefined

export class NatsServer {
  readonly #folder = mkdtempSync(join(tmpdir(), 'approxifer-nats-'))
  #process: ChildProcess | undefined

  private constructor(
    readonly port: number,
    readonly wsPort: number,
    readonly host: string,
  ) {}

  /** @param config  more lines of its configuration */
  static async start(config = '', host = '127.0.0.1'): Promise<NatsServer> {
    const [port, wsPort] = await Promise.all([freePort(host), freePort(host)])
    const server = new NatsServer(port, wsPort, host)
    const ws = `websocket { listen: "${host}:${wsPort}", no_tls: true }`
    writeFileSync(server.#config, `listen: "${host}:${port}"\n${ws}\n${config}`)
    await server.up()
    return server
  }

  get #config() {
    return join(this.#folder, 'nats.conf')
  }

  get url() {
    return `nats://${this.host}:${this.port}`
  }

  get wsUrl() {
    return `ws://${this.host}:${this.wsPort}`
  }

  /** Starts it (again); resolves when it takes connections. */
  async up(): Promise<void> {
    const child = spawn(findNats() as string, ['-c', this.#config], { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#process = child
    running.add(child)
    child.once('exit', () => running.delete(child))
    let log = ''
    await new Promise<void>((resolve, reject) => {
      child.stderr?.on('data', (text) => {
        log += text
        if (log.includes('Server is ready')) resolve()
      })
      child.once('error', reject)
      child.once('exit', (code) => reject(new Error(`nats-server exited with ${code}: ${log}`)))
    })
    child.stderr?.removeAllListeners('data').resume()
    child.removeAllListeners('exit').once('exit', () => running.delete(child))
    await reachable(this.port, this.host)
  }

  /** As if its machine lost power. */
  async down(): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (!child || child.exitCode !== null || child.signalCode) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }

  async stop(): Promise<void> {
    await this.down()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** One that nobody listens on now. */
export function freePort(host = '127.0.0.1'): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, host, () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

function reachable(port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, host, () => {
      socket.destroy()
      resolve()
    })
    socket.once('error', reject)
  })
}
