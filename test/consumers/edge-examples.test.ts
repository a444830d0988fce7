/** examples/durable-object and examples/fetch-handler, in front of three model servers: digits in JSON and in binary. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findBun, findDeno } from '../../scripts/packages.js'
import { ranBy } from '../shared/counted-elsewhere'
import { serveGateway, type TestServer } from '../shared/http-server'
import { LENET } from '../shared/served-process'
import { until } from '../shared/waiting'
import { askDigits } from './ask-digits'
import { consumer, DIGITS, TOOLS } from './consumer'
import { readme } from './example'
import { start } from './page'

const example = (name: string) => consumer([join('../../../examples', name)])
const model = { model: LENET, workers: 1 }

let servers: TestServer[]
let urls: string[]
beforeAll(async () => {
  servers = await Promise.all([1, 2, 3].map(() => serveGateway({ models: {} })))
  urls = servers.map(({ url }) => url)
})
afterAll(() => Promise.all(servers.map((server) => server.close())))

/** What `curl` of the README prints. */
async function expectAsInReadme(name: string, url: string): Promise<void> {
  const reply = await fetch(new URL('/v2/models/digits', url))
  expect(await reply.text()).toBe(readme(name).printed)
}

function change(path: string, place: RegExp, text: string): void {
  const before = readFileSync(path, 'utf8')
  expect(before).toMatch(place)
  writeFileSync(path, before.replace(place, text))
}

/** Starts a program that gets these variables, asks it, and ends it. */
async function asking(
  folder: string,
  variables: Record<string, string>,
  command: readonly string[],
  ask: (url: string) => Promise<void>,
): Promise<void> {
  const given = Object.entries(variables).map(([name, value]) => `${name}=${value}`)
  const { url, close } = await start(folder, 'env', ...given, ...command)
  try {
    await ask(url)
  } finally {
    await close()
  }
}

const workerd = join(TOOLS, 'workerd/bin/workerd')

describe('durable-object, by wrangler dev', ranBy('workerd', workerd), () => {
  it('says that no server has the model, and answers once they have it', async () => {
    const folder = example('durable-object')
    change(join(folder, 'wrangler.toml'), /(?<=^vars\.SERVERS = ).*/m, JSON.stringify(urls))
    change(join(folder, 'main.js'), /(?<=timeoutMs: )5000/, '2000')
    const quiet = {
      CI: 'true',
      HOME: folder,
      WRANGLER_SEND_METRICS: 'false',
      CLOUDFLARE_CF_FETCH_ENABLED: 'false',
      npm_config_registry: 'http://127.0.0.1:9', // it would ask for newer versions of itself
    }
    const wrangler = [process.execPath, join(TOOLS, 'wrangler/bin/wrangler.js'), 'dev']
    const ports = ['--ip', '127.0.0.1', '--port', '0', '--inspector-port', '0']
    await asking(folder, quiet, [...wrangler, ...ports], async (url) => {
      expect(await askDigits(url)).toEqual([
        expect.stringMatching(/^500 .*none of 3 servers can be used after 2000 ms/s),
      ])
      await Promise.all(servers.map(({ gateway }) => gateway.load('digits', model)))
      await until(async () => expect(await askDigits(url)).toEqual([DIGITS, DIGITS]))
      await expectAsInReadme('durable-object', url)
    })
  })
})

describe.each([
  ['Deno', findDeno() as string, ['serve', '--allow-net', '--allow-env', '--host', '127.0.0.1', '--port', '0']],
  ['Bun', findBun() as string, []],
] as const)('fetch-handler in %s', (name, program, args) => {
  it('answers', ranBy(name, program), async () => {
    await Promise.all(servers.map(({ gateway }) => gateway.load('digits', model)))
    const variables = { SERVERS: urls.join(), PORT: '0' }
    await asking(example('fetch-handler'), variables, [program, ...args, 'main.js'], async (url) => {
      expect(await askDigits(url)).toEqual([DIGITS, DIGITS])
      await expectAsInReadme('fetch-handler', url)
    })
  })
})
