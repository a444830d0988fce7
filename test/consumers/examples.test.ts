/** The examples, run from the installed package by what their READMEs say, print what their READMEs say. */

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { consumer, run } from './consumer'
import { EXAMPLES, readme, withoutNumbers } from './example'
import { start } from './page'

const root = fileURLToPath(new URL('../../', import.meta.url))
const CLI = 'node_modules/approxifer/dist/cli.js'

/** The words behind `node` or `npx approxifer`, for Node. */
function forNode([program, ...words]: string[]): string[] {
  if (program === 'node') return words
  expect([program, words[0]]).toEqual(['npx', 'approxifer'])
  return [CLI, ...words.slice(1)]
}

const runIn = (folder: string, command: string[]) => run(folder, process.execPath, ...forNode(command))

/** Starts a server at a free port. */
const startIn = (folder: string, command: string[]) =>
  start(folder, process.execPath, ...forNode(command).filter((word) => !/^80\d\d$|^--port$/.test(word)), '--port', '0')

it('each has a README, and a row in the table of all', () => {
  const folders = readdirSync(EXAMPLES, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  const table = readFileSync(join(EXAMPLES, 'README.md'), 'utf8')
  for (const { name } of folders) {
    expect(existsSync(join(EXAMPLES, name, 'README.md')), name).toBe(true)
    expect(table).toContain(`| [${name}](${name}/README.md) |`)
  }
  expect(table.match(/^\| .*README\.md/gm)).toHaveLength(folders.length)
})

it('browser: its picture has the words of the page', () => {
  const [picture, ...sources] = ['page.svg', 'index.html', 'src/main.js'].map((name) =>
    readFileSync(join(EXAMPLES, 'browser', name), 'utf8'),
  )
  const words = [...picture.matchAll(/<text[^>]*>([^<]{2,})</g)].map(([, text]) => text)
  expect(words).toHaveLength(3)
  for (const text of words) expect(sources.join('')).toContain(text)
})

it('own-layer: one query, two attempts', async () => {
  const { commands, printed } = readme('own-layer')
  expect(await runIn(consumer([]), commands[0])).toBe(printed)
})

it('own-worker: the late query is recovered', async () => {
  const { commands, printed } = readme('own-worker')
  const roughly = (text: string) => text.replace(/(\.[0-4])\d+/g, '$1').replace(/\.[0-4]/g, '')
  const given = await runIn(consumer([]), commands[0])
  expect(roughly(given)).toBe(roughly(printed))
})

it('faulty-worker: a straggler, a crash and a liar are survived', async () => {
  const { commands, printed } = readme('faulty-worker')
  const given = await runIn(consumer([]), commands[0])
  expect(withoutNumbers(given)).toBe(withoutNumbers(printed))
  for (const text of [given, printed]) {
    const lines = [...text.matchAll(/^(\w+): (\d+) of 40 .* \(calls failed (\d+), suspected (\d+)\)$/gm)]
    expect(lines.map(([, title]) => title)).toEqual(['straggler', 'crash', 'liar'])
    for (const [, , right] of lines) expect(Number(right)).toBeGreaterThan(34)
    expect(Number(lines[1][3])).toBeGreaterThan(0)
    expect(Number(lines[2][4])).toBeGreaterThan(0)
  }
})

it('codes: a code of the folder stands in the table of evaluate', async () => {
  const { commands, printed } = readme('codes')
  const folder = consumer([])
  cpSync(join(folder, 'node_modules/approxifer/models'), join(folder, 'models'), { recursive: true })
  const given = await runIn(folder, commands.at(-1) as string[])
  const names = (text: string) => text.split('\n').map((line) => withoutNumbers(line).replaceAll(/\s+/g, ' ').trim())
  expect(names(given)).toEqual(names(printed))
})

describe('node-server', () => {
  const ask = (url: string, body: string) => fetch(url, { method: 'POST', body })
  const [command] = readme('node-server').commands
  const serve = () => start(consumer([]), process.execPath, ...forNode(command).slice(0, -1), '0')

  it('answers as its README says, refuses what is no query, and ends gracefully', async () => {
    const server = await serve()
    const grey = JSON.stringify({ data: Array(784).fill(0.5), deadlineMs: 60_000 })
    const reply = await (await ask(server.url, grey)).text()
    const [from, to] = readme('node-server').printed.split(' ..').map(withoutNumbers)
    expect(withoutNumbers(reply).slice(0, from.length)).toBe(from)
    expect(withoutNumbers(reply).endsWith(to)).toBe(true)
    for (const wrong of ['no JSON', '{}', '{ "data": [1] }', `{ "data": [${'0,'.repeat(1e6)}0] }`]) {
      const refused = await ask(server.url, wrong)
      expect([refused.status, typeof ((await refused.json()) as { error: unknown }).error]).toEqual([400, 'string'])
    }
    expect(await server.close()).toBe(0)
  })

  it('reads a digit', async () => {
    const server = await serve()
    const pixels = readFileSync(join(root, 'models/mnist-digits.npy'))
    const seven = Array.from(pixels.subarray(-400 * 784).subarray(0, 784), (byte) => byte / 255)
    const reply = await ask(server.url, JSON.stringify({ data: seven }))
    const { output, status } = (await reply.json()) as { output: { logits: { data: number[] } }; status: string }
    const { data } = output.logits
    expect([reply.status, status, data.indexOf(Math.max(...data))]).toEqual([200, 'exact', 7])
    await server.close()
  })
})

it('embeddings: the nearest text comes first', async () => {
  const { commands, printed } = readme('embeddings')
  const folder = consumer([])
  const texts = join(root, 'test/models/text')
  mkdirSync(join(folder, 'model'))
  cpSync(join(texts, 'embedder.onnx'), join(folder, 'model/model.onnx'))
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) cpSync(join(texts, file), join(folder, 'model', file))
  mkdirSync(join(folder, 'node_modules/@huggingface'))
  const tokenizers = join('node_modules/@huggingface/tokenizers')
  symlinkSync(join(root, tokenizers), join(folder, tokenizers), 'junction')
  const server = await startIn(folder, commands[0])
  try {
    expect(withoutNumbers(await runIn(folder, [...commands[1], server.url]))).toBe(withoutNumbers(printed))
  } finally {
    await server.close()
  }
})

describe('triton', () => {
  // Windows cannot stop a process for a while.
  it.skipIf(process.platform === 'win32')('the client gets every answer while a server hangs', async () => {
    const { commands, printed } = readme('triton')
    const folder = consumer([], ['undici'])
    const [a, b, gateway, ask, , askAgain] = commands
    const servers = await Promise.all([startIn(folder, a), startIn(folder, b)])
    const urls = servers.map(({ url }) => url).join()
    const workers = gateway.map((word) => (word.startsWith('http://') ? urls : word))
    const front = await startIn(folder, workers)
    const [, { pid }] = servers
    try {
      const before = await runIn(folder, [...ask, front.url])
      process.kill(pid, 'SIGSTOP')
      const after = await runIn(folder, [...askAgain, front.url])
      expect(withoutNumbers(`${before}\n${after}`)).toBe(withoutNumbers(printed))
      for (const text of [before, after, ...printed.split('\n')]) expect(text).toMatch(/^100 of 100 right/)
    } finally {
      process.kill(pid, 'SIGCONT')
      await Promise.all([...servers, front].map(({ close }) => close()))
    }
  })

  it('its two Tritons have the ports and the model that the gateway asks for', () => {
    const { services } = parse(readFileSync(join(EXAMPLES, 'triton/compose.yaml'), 'utf8'))
    const ports = Object.values<{ ports: string[] }>(services).map((service) => service.ports[0].split(':')[1])
    expect(readme('triton').commands[2]).toContain(ports.map((port) => `http://localhost:${port}`).join())
    for (const { volumes } of Object.values<{ volumes: string[] }>(services)) {
      const [file, place] = volumes[0].split(':')
      expect([existsSync(join(EXAMPLES, 'triton', file)), place]).toEqual([true, '/models/digits/1/model.onnx'])
    }
  })
})
