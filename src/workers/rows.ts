/**
 * Rows and answers in plain messages, beside comlink, which does the rest: its envelope for a call costs as much as a small
 * model does (LeNet on two threads: 8,100 answers a second in envelopes, 14,900 without). Answers come in the order of the
 * rows. Nothing is transferred: to send a copy takes less time than to make one and detach it, at every size.
 */

import type { Endpoint } from 'comlink'
import { asError, type Code } from '../errors'

/** An error loses its code on the way between threads, so it crosses as plain data. */
export type Reply<T> = { value: T } | { code: Code; message: string }

export function plain(error: unknown, fallback: Code): { code: Code; message: string } {
  const { code, message } = asError(error, fallback)
  return { code, message }
}

/** In the thread: answers every row that comes, one after the other. */
export function answerRows(parent: Endpoint, infer: (row: Float32Array) => Promise<Float32Array>): void {
  const answer = async (row: Float32Array) => {
    try {
      parent.postMessage({ reply: { value: await infer(row) } })
    } catch (error) {
      parent.postMessage({ reply: plain(error, 'WORKER') })
    }
  }
  let last = Promise.resolve()
  parent.addEventListener('message', (event) => {
    const row: unknown = (event as MessageEvent).data?.row
    if (row instanceof Float32Array) last = last.then(() => answer(row)) // else comlink's
  })
}

/** At the other end. */
export class RowCaller {
  readonly #thread: Endpoint
  /** Who waits for an answer, in order. */
  readonly #waiting: ((reply: Reply<Float32Array>) => void)[] = []

  constructor(thread: Endpoint) {
    this.#thread = thread
    thread.addEventListener('message', (event) => {
      const { data } = event as MessageEvent
      if (data !== null && typeof data === 'object' && 'reply' in data) this.#waiting.shift()?.(data.reply)
    })
  }

  /** @param row  only read, before this returns */
  ask(row: Float32Array): Promise<Reply<Float32Array>> {
    const part = row.byteLength < row.buffer.byteLength // of a buffer that would be sent as a whole
    this.#thread.postMessage({ row: part ? row.slice() : row })
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}
