/** A server of the Open Inference Protocol for pages and other clients, whose model m answers [x + 1, 2 x] to [what, x], or fails. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { WHAT } from '../fixtures/behaviour.js'
import { type Model, QuirkServer } from '../shared/oip-quirks'

const OUTPUT = { name: 'y', datatype: 'FP32' as const, shape: [2] }
const SLOW_MS = 30
/** How long the server is down when it has died. */
const DOWN_MS = 150
/** A server dies when it has another query as well, so that both are lost, or after this time. */
const ALONE_MS = 300

/** Not a query by which a client gets to know the server: these are always answered. */
const isQuery = ([what, x]: Float32Array) => what === WHAT.answer && x > 0

export class FaultyServer {
  readonly #server: QuirkServer
  #dying: ReturnType<typeof setTimeout> | undefined
  #isStopped = false

  private constructor(readonly does: 'answers' | 'hangs' | 'lies' | 'is busy' | 'talks garbage' | 'fails') {
    const model: Model = {
      name: 'm',
      inputs: [{ name: 'x', shape: [2] }],
      outputs: [OUTPUT],
      run: (inputs) => this.#run(inputs[0]),
    }
    this.#server = new QuirkServer('triton', model)
    this.#server.allowsPages = true
    this.#server.instead = (request, response, row) => this.#fails(request, response, row)
  }

  static async start(does: FaultyServer['does']): Promise<FaultyServer> {
    const server = new FaultyServer(does)
    await server.#server.listen()
    return server
  }

  get url(): string {
    return this.#server.url
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#dying)
    await this.#server.kill()
  }

  #die(): void {
    this.#dying = undefined
    void this.#server.kill()
    setTimeout(() => this.#isStopped || this.#server.listen(), DOWN_MS)
  }

  /** The rows' answers, one after the other. */
  async #run(rows: Float32Array) {
    const [what] = rows
    if (what === WHAT.slow) await new Promise((resolve) => setTimeout(resolve, SLOW_MS))
    if (what === WHAT.wrongLength) return [{ ...OUTPUT, shape: [3], values: [0, 0, 0] }]
    if (what === WHAT.notANumber) return [{ ...OUTPUT, values: [0, Number.NaN] }]
    if (what === WHAT.wrongType) return [{ ...OUTPUT, datatype: 'INT64' as const, values: [0, 0] }]
    const lie = this.does === 'lies' && isQuery(rows) ? 1000 : 0
    const values: number[] = []
    for (let at = 0; at < rows.length; at += 2) values.push(rows[at + 1] + 1 + lie, 2 * rows[at + 1])
    return [{ ...OUTPUT, values }]
  }

  /** Whether the request has got something else than an answer. */
  #fails(_request: IncomingMessage, response: ServerResponse, row: Float32Array): boolean {
    const [what] = row
    const refuse = (status: number, text: string) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(text)
      return true
    }
    if (what === WHAT.throws) return refuse(500, '{"error":"on purpose"}')
    if (what === WHAT.refuses) return refuse(400, '{"error":"on purpose"}')
    if (what === WHAT.noReply) return refuse(200, '')
    if (what === WHAT.hangs) return true
    if (what === WHAT.dies || what === WHAT.exits) {
      this.#dying = setTimeout(() => this.#die(), ALONE_MS)
      return true
    }
    if (this.#dying) {
      clearTimeout(this.#dying)
      this.#die()
      return true
    }
    if (!isQuery(row)) return false
    if (this.does === 'hangs') return true
    if (this.does === 'is busy') return refuse(503, '{"error":"busy"}')
    if (this.does === 'talks garbage') return refuse(200, '{"outputs":')
    return this.does === 'fails' && refuse(500, '{"error":"out of order"}')
  }
}
