/** Attempts that wait for a worker: three priorities, each first come, first served. */

import { Line } from '../deque'
import type { Call, Kind } from './call'

/** Attempts to try on a worker, so that one it may not take blocks nobody behind it and a deep queue is never scanned. */
export const LOOKAHEAD = 256

export class Queue {
  readonly #lines: Record<Kind, Line<Call>> = { urgent: new Line(), query: new Line(), extra: new Line() }

  /** Those that cannot be done without. */
  get needed(): number {
    return this.#lines.urgent.size + this.#lines.query.size
  }

  /** Those that can. */
  get spare(): number {
    return this.#lines.extra.size
  }

  /** The first that cannot be done without. */
  get first(): Call | undefined {
    return this.#lines.urgent.first ?? this.#lines.query.first
  }

  push(call: Call): void {
    call.place = this.#lines[call.kind].push(call)
  }

  /** In front of all others of its priority. */
  unshift(call: Call): void {
    call.place = this.#lines[call.kind].unshift(call)
  }

  remove(call: Call): void {
    this.#lines[call.kind].remove(call.place)
  }

  /** The first needed one that will do, behind `skip` others. */
  find(skip: number, willDo: (call: Call) => boolean, lookahead = LOOKAHEAD): Call | undefined {
    const { urgent, query } = this.#lines
    const call = skip < urgent.size ? urgent.find(skip, lookahead, willDo) : undefined
    return call ?? query.find(Math.max(0, skip - urgent.size), lookahead, willDo)
  }

  /** The first that can be done without and will do. */
  findSpare(willDo: (call: Call) => boolean): Call | undefined {
    return this.#lines.extra.find(0, LOOKAHEAD, willDo)
  }

  /** All, high before normal before low. */
  get all(): Call[] {
    return Object.values(this.#lines).flatMap((line) => [...line])
  }
}
