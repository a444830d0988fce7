/**
 * Rows and answers in plain messages, beside comlink, which does the rest: its envelope for a call costs as much as a small
 * model does (LeNet on two threads: 8,100 answers a second in envelopes, 14,900 without). One row is under way at a time.
 */

import type { Endpoint } from 'comlink'
import { asError, type Code } from '../errors'

/** An error loses its code on the way between threads, so it crosses as plain data. */
export type Reply<T> = { value: T } | { code: Code; message: string }

export function plain(error: unknown, fallback: Code): { code: Code; message: string } {
  const { code, message } = asError(error, fallback)
  return { code, message }
}

/** In the thread: answers every row that comes. The answer's buffer is transferred. */
export function answerRows(parent: Endpoint, infer: (row: Float32Array) => Promise<Float32Array>): void {
  parent.addEventListener('message', async (event) => {
    const row: unknown = (event as MessageEvent).data?.row
    if (!(row instanceof Float32Array)) return // comlink's
    try {
      const value = await infer(row)
      parent.postMessage({ reply: { value } }, [value.buffer])
    } catch (error) {
      parent.postMessage({ reply: plain(error, 'WORKER') })
    }
  })
}

/** At the other end. */
export class RowCaller {
  readonly #thread: Endpoint
  #resolve: (reply: Reply<Float32Array>) => void = () => {}

  constructor(thread: Endpoint) {
    this.#thread = thread
    thread.addEventListener('message', (event) => {
      const { data } = event as MessageEvent
      if (data !== null && typeof data === 'object' && 'reply' in data) this.#resolve(data.reply)
    })
  }

  /** @param row  stays the caller's: a copy is transferred. The one before must have been answered. */
  ask(row: Float32Array): Promise<Reply<Float32Array>> {
    const copy = row.slice()
    this.#thread.postMessage({ row: copy }, [copy.buffer])
    return new Promise((resolve) => {
      this.#resolve = resolve
    })
  }
}
