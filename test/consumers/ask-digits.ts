/** Asks a gateway what the first four images of MNIST's test set show, in JSON and in binary. */

import { readFileSync } from 'node:fs'

const pixels = readFileSync('models/mnist-digits.npy').subarray(-400 * 784) // behind the header
const data = Float32Array.from(pixels.subarray(0, 4 * 784), (byte) => byte / 255)
const input = { name: 'input', datatype: 'FP32', shape: [4, 1, 28, 28] }
const LENGTH = 'inference-header-content-length'

/** @param url  of the gateway, without `/v2`. @returns two times the digits, or what was answered instead */
export async function askDigits(url: string): Promise<string[]> {
  const infer = (body: BodyInit, headers = {}) =>
    fetch(new URL('/v2/models/digits/infer', url), { method: 'POST', body, headers })

  const json = await infer(JSON.stringify({ inputs: [{ ...input, data: [...data] }] }))
  if (!json.ok) return [`${json.status} ${await json.text()}`]
  const { outputs } = (await json.json()) as { outputs: { data: number[] }[] }

  const parameters = { binary_data_size: data.byteLength }
  const request = { parameters: { binary_data_output: true }, inputs: [{ ...input, parameters }] }
  const head = new TextEncoder().encode(JSON.stringify(request))
  const binary = await infer(new Blob([head, data]), { [LENGTH]: String(head.length) })
  if (!binary.ok) return [digits(outputs[0].data), `${binary.status} ${await binary.text()}`]
  const logits = new Float32Array((await binary.arrayBuffer()).slice(Number(binary.headers.get(LENGTH))))
  return [digits(outputs[0].data), digits([...logits])]
}

function digits(logits: number[]): string {
  const rows = [0, 1, 2, 3].map((i) => logits.slice(10 * i, 10 * (i + 1)))
  return rows.map((row) => row.indexOf(Math.max(...row))).join(' ')
}
