/** A machine of the simulation as a server of the Open Inference Protocol: what it takes and gives are bytes. */

import type { ApproxiferError } from '../../src/base/errors'
import { type TensorList, toTensors } from '../../src/base/tensor'
import { writeMetadata } from '../../src/oip/metadata'
import { readMessage, readRequest } from '../../src/oip/read'
import { encode, HEADER_LENGTH, writeReply } from '../../src/oip/write'
import type { Actor } from './actor'

export interface WireRequest {
  method: string
  path: string
  headers: Readonly<Record<string, string>>
  body: Uint8Array
}

export interface WireReply {
  status: number
  headers: Readonly<Record<string, string>>
  body: Uint8Array
}

const utf8 = new TextEncoder()

export const jsonReply = (value: unknown, status = 200, headers = {}): WireReply => ({
  ...{ status, headers, body: utf8.encode(JSON.stringify(value)) },
})

export class OipMachine {
  /** Told when it goes down: all connections are reset. */
  onDown: () => void = () => {}
  /** Requests that wait until the worker takes one more. */
  readonly #waiting: (() => void)[] = []

  /** @param model  which it has now */
  constructor(
    readonly actor: Actor,
    private readonly model: () => number,
  ) {
    actor.onFree = () => this.#freed()
  }

  get isUp(): boolean {
    return this.actor.mood !== 'dead'
  }

  /** @param signal  fires when the client is gone */
  async answer({ method, path, headers, body }: WireRequest, signal: AbortSignal): Promise<WireReply> {
    try {
      if (path === '/v2') return jsonReply({ name: 'simulated', extensions: ['binary_tensor_data'] })
      if (path === '/v2/models/m/ready') return jsonReply({ ready: true })
      if (path === '/v2/models/m') return jsonReply(writeMetadata('m', [String(this.model())], this.actor.signature))
      if (method !== 'POST' || path !== '/v2/models/m/infer') return jsonReply({ error: 'no such path' }, 404)
      return await this.#infer(body, headers[HEADER_LENGTH], signal)
    } catch (error) {
      if ((error as ApproxiferError).code === 'OVERLOADED') return jsonReply({ error: 'its queue is full' }, 503)
      return jsonReply({ error: (error as Error).message }, 500)
    }
  }

  async #infer(body: Uint8Array, header: string | undefined, signal: AbortSignal): Promise<WireReply> {
    const asked = readRequest(await readMessage(body, header), this.actor.signature)
    while (!this.actor.free && !signal.aborted) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    if (signal.aborted) {
      this.#waiting.shift()?.() // its turn is another's
      return jsonReply({ error: 'the client is gone' }, 499)
    }
    const { inputs, outputs: specs } = this.actor.signature
    const answers = await this.#ask(
      asked.queries.map((query) => toTensors(query, inputs, false)),
      signal,
    )
    const outputs = answers[0].map(({ data, shape: _, ...rest }, i) => ({ ...rest, name: specs[i].name, shape: [data.length], rows: answers.map((each) => each[i].data), binary: asked.outputs[i]?.binary ?? false })) // biome-ignore format: one line
    const reply = await encode(writeReply({ model: 'm', version: String(this.model()), id: asked.id, outputs }))
    const headers: Record<string, string> = {}
    if (reply.headerLength !== undefined) headers[HEADER_LENGTH] = String(reply.headerLength)
    return { status: 200, headers, body: reply.body }
  }

  #ask(rows: readonly TensorList[], signal: AbortSignal): Promise<TensorList[]> {
    if (rows.length > 1) return Promise.all(this.actor.inferBatch(rows, { signals: rows.map(() => signal) }))
    return this.actor.infer(rows[0], { signal }).then((answer) => [answer])
  }

  #freed(): void {
    if (!this.isUp) this.onDown()
    for (const wake of this.#waiting.splice(0)) wake()
  }
}
