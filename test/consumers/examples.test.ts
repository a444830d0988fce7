/** The examples, with the packed package, do what they say. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { consumer, run } from './consumer'
import { start } from './page'

const example = (name: string) => consumer([join('../../../examples', name)])

it('own-worker: the late query is recovered', async () => {
  const printed = await run(example('own-worker'), process.execPath, 'main.js')
  const [late, ...others] = printed.split('\n')
  expect(late).toMatch(/^recovered \[ 2\.[0-4]\d*, -2\.[0-4]\d* \]$/)
  expect(others).toEqual(['exact [ 4, -4 ]', 'exact [ 6, -6 ]'])
})

it('faulty-worker: a straggler, a crash and a liar are survived', async () => {
  const lines = (await run(example('faulty-worker'), process.execPath, 'main.js')).split('\n')
  const told = lines.map((line) => /^(\w+): (\d+) of 40 .* \(calls failed (\d+), suspected (\d+)\)$/.exec(line) ?? [])
  expect(told.map(([, title]) => title)).toEqual(['straggler', 'crash', 'liar'])
  for (const [, , right] of told) expect(Number(right)).toBeGreaterThan(34)
  expect(Number(told[1][3])).toBeGreaterThan(0)
  expect(Number(told[2][4])).toBeGreaterThan(0)
})

describe('node-server', () => {
  const pixels = readFileSync(fileURLToPath(new URL('../../models/mnist-digits.npy', import.meta.url)))
  const seven = Array.from(pixels.subarray(-400 * 784).subarray(0, 784), (byte) => byte / 255)
  const ask = (url: string, body: string) => fetch(url, { method: 'POST', body })

  it('answers, refuses what is no query, and ends gracefully', async () => {
    const server = await start(example('node-server'), process.execPath, 'server.js', '0')
    const reply = await ask(server.url, JSON.stringify({ data: seven }))
    const { output, status } = (await reply.json()) as { output: { logits: { data: number[] } }; status: string }
    const { data } = output.logits
    expect([reply.status, status, data.indexOf(Math.max(...data))]).toEqual([200, 'exact', 7])
    for (const wrong of ['no JSON', '{}', '{ "data": [1] }', `{ "data": [${'0,'.repeat(1e6)}0] }`]) {
      const refused = await ask(server.url, wrong)
      expect([refused.status, typeof ((await refused.json()) as { error: unknown }).error]).toEqual([400, 'string'])
    }
    expect(await server.close()).toBe(0)
  })
})
