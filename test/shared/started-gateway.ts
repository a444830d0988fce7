/** A gateway without a server in front, on workers whose calls the test settles by hand; what it is asked, and what it answers. */

import { createGateway, type GatewayModel, type RequestEvent } from 'approxifer/gateway'
import { HandWorker } from './hand-predictor'

type Options = Partial<Parameters<typeof createGateway>[0]>

/** Workers that answer twice the query at once, unless told otherwise. */
export function workersOf(count: number, answer: (worker: HandWorker) => void = (worker) => worker.calls[0].answer()) {
  return Array.from({ length: count }, (_, i) => {
    const worker = new HandWorker(`w${i}`)
    const { infer } = worker
    worker.infer = (row, options) => {
      const promise = infer.call(worker, row, options)
      queueMicrotask(() => worker.calls.length && answer(worker))
      return promise
    }
    return worker
  })
}
/** Never answers. */
export const hang = () => {}
export const model = (workers = workersOf(2), more: object = {}): GatewayModel =>
  ({ workers, verify: { audit: 0 }, right: 'label', ...more }) as GatewayModel

export async function started(options: Options = {}, models: Record<string, GatewayModel> = { m: model() }) {
  const events: RequestEvent[] = []
  const warnings: string[] = []
  const gateway = createGateway({
    models,
    observe: (event) => events.push(event),
    onWarning: (text) => warnings.push(text),
    ...options,
  })
  await gateway.ready()
  return { gateway, events, warnings }
}
type StartedGateway = Awaited<ReturnType<typeof started>>['gateway']

export const inputOf = (rows: number, values = Array.from({ length: 2 * rows }, (_, i) => i)) => ({
  inputs: [{ name: 'x', shape: [rows, 2], datatype: 'FP32', data: values }],
})
export const request = (path: string, init: RequestInit = {}) => new Request(`http://test${path}`, init)
export const post = (
  body: unknown,
  headers: Record<string, string> = {},
  path = '/v2/models/m/infer',
  signal?: AbortSignal,
) =>
  request(path, {
    method: 'POST',
    headers,
    body: typeof body === 'string' || body instanceof Uint8Array ? (body as BodyInit) : JSON.stringify(body),
    ...(signal && { signal }),
  })
export async function answerOf(gateway: StartedGateway, asked: Request) {
  const response = await gateway(asked)
  return { status: response.status, headers: response.headers, json: await response.json() }
}
/** Status and sentence. */
export async function refusal(gateway: StartedGateway, asked: Request): Promise<[number, string]> {
  const { status, json } = await answerOf(gateway, asked)
  return [status, json.error]
}
