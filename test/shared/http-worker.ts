/** Workers behind HTTP for tests: on a server without a network in simulated time, or on one of a real port. */

import { onTestFinished } from 'vitest'
import { VirtualClock } from '../../src/testing/virtual-clock'
import type { HttpOptions } from '../../src/workers/http/options'
import { httpWorker } from '../../src/workers/http/worker'
import { WHAT } from '../fixtures/behaviour.js'
import { type Model, QuirkServer } from './oip-quirks'
import { PretendServer, Reply } from './simulated-server'

/** A query, and what servers refuse one with. */
export const row = Float32Array.of(3, 4)
export const errorReply = (status: number, text: string, headers = {}) =>
  Reply.json({ error: text }, { status, headers })

/** A worker that starts in simulated time, asked in JSON where nothing else is said. */
export async function startWorker(
  options: Partial<HttpOptions> = {},
  server = new PretendServer(),
  url = 'http://there:8000',
) {
  const clock = new VirtualClock()
  const warnings: string[] = []
  const onWarning = (text: string) => warnings.push(text)
  const { fetch } = server
  const started = httpWorker(url, { model: 'm', binary: false, fetch, clock, onWarning, ...options })
  started.catch(() => {})
  await clock.run(0)
  return { server, clock, warnings, started }
}

/** One that has started, and is closed at the end of the test. */
export async function readyWorker(options: Partial<HttpOptions> = {}, url?: string) {
  const { started, ...rest } = await startWorker(options, undefined, url)
  const worker = await started
  onTestFinished(() => worker.close())
  rest.server.asked.length = 0
  return { worker, ...rest }
}

const output = { name: 'y', datatype: 'FP32' as const, shape: [2] }

/** What the fixture workers answer: [x + 1, 2 x]. */
const model: Model = {
  name: 'm',
  inputs: [{ name: 'x', shape: [2] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [2] }],
  run: ([input]) => {
    const [what, x] = input
    if (what === WHAT.wrongLength) return [{ ...output, shape: [3], values: [0, 0, 0] }]
    if (what === WHAT.notANumber) return [{ ...output, values: [0, Number.NaN] }]
    if (what === WHAT.wrongType) return [{ ...output, datatype: 'INT64', values: [0, 0] }]
    return [{ ...output, values: [x + 1, 2 * x] }]
  },
}

/** A server with that model at a port of this machine, which is stopped at the end of the test. */
export async function quirkServer(mode: QuirkServer['mode'] = 'triton'): Promise<QuirkServer> {
  const server = await new QuirkServer(mode, model).listen()
  onTestFinished(() => server.kill().catch(() => {}))
  return server
}
