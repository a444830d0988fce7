/** Requests of which each is another one, and whose answer was the model's. */

import { type Agent, request } from 'node:http'

/** Of which the first ten differ. */
const INPUTS = 784
const rest = Array.from({ length: INPUTS - 10 }, (_, i) => (i % 9) / 8)

/** What a question came to. */
export interface Asked {
  /** Of HTTP, or an error's code. */
  status: number | string
  /** How the reply says that it was answered. */
  says: string
  /** Of the model whose answer it is; undefined: no model's, or recovered. */
  generation: number | undefined
}

/** Recovered answers are estimates, of which `confidence` says how many are right. */
export const ESTIMATED = 'recovered'
const OTHER_LABEL = `${ESTIMATED}, another label`

/** @param deadlineMs  default: the server's */
export async function question(agent: Agent, port: number, i: number, deadlineMs?: number): Promise<Asked> {
  const own = Array.from({ length: 10 }, (_, j) => ((i * 31 + j * 17) % 4096) / 16)
  const data = [...own, ...rest]
  const inputs = [{ name: 'input', datatype: 'FP32', shape: [1, 1, 28, 28], data }]
  const body = JSON.stringify({ inputs, parameters: { deadline_ms: deadlineMs } })
  const { status, text } = await post(agent, port, body)
  if (status !== 200) return { status, says: '', generation: undefined }
  const { parameters, outputs } = JSON.parse(text)
  const [says] = parameters.status
  const [output, sums] = [outputs[0].data, sumsOf(data)]
  if (says !== ESTIMATED) return { status, says, generation: generationOf(output, sums) }
  return { status, says: labelOf(output) === labelOf(sums) ? says : OTHER_LABEL, generation: undefined }
}

function sumsOf(data: readonly number[]): number[] {
  const sums = new Float32Array(10)
  for (const [i, value] of data.entries()) sums[i % 10] += value
  return [...sums]
}

const labelOf = (output: readonly number[]) => output.indexOf(Math.max(...output))

/** By which power of two the model of bench/soak/oip-worker.js multiplies its sums, if all are by the same: to the bit. */
function generationOf(output: readonly number[], sums: readonly number[]): number | undefined {
  const generation = Math.log2(output[0] / sums[0])
  const isOne = output.every((value, i) => value === sums[i] * 2 ** generation)
  return isOne && Number.isInteger(generation) ? generation : undefined
}

function post(agent: Agent, port: number, body: string): Promise<{ status: number | string; text: string }> {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/json' }
    const options = { host: '127.0.0.1', port, path: '/v2/models/m/infer', method: 'POST', agent, headers }
    const failed = (error: NodeJS.ErrnoException) => resolve({ status: error.code ?? error.message, text: '' })
    const asked = request(options, (response) => {
      let text = ''
      response.on('data', (part) => {
        text += part
      })
      response.on('error', failed).on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    asked.on('error', failed).end(body)
  })
}
