/** What a gateway in a Durable Object learned, over evictions and crashes, in workerd. */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createPredictor } from 'approxifer'
import { httpWorkers } from 'approxifer/http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import workerd from 'workerd'
import type { Criterion } from '../../src/base/criterion'
import { Experience } from '../../src/memory/experience'
import type { ExperienceState } from '../../src/memory/experience-state'
import { unpack } from '../../src/memory/unpack'
import { ranBy } from '../shared/counted-elsewhere'
import { digits } from '../shared/digits'
import { serveGateway, type TestServer } from '../shared/http-server'
import { core } from '../shared/learned-states'
import { bundleTo, type Edge, serving } from '../shared/workerd'

const PAIRS = 4000
/** At least the five seconds that the timers of an idle gateway take, and the ten seconds after which workerd evicts an object without timers. */
const EVICTED_MS = 20_000
/** At least what learning from a burst and saving takes on an idle machine. */
const SAVE_MS = 1000
/** How often the object is aborted, and how often workerd is killed, while it saves. */
const CRASHES = Number(process.env.APPROXIFER_KILLS ?? 3)

const folder = mkdtempSync(join(tmpdir(), 'approxifer-durable-'))
const config = join(folder, 'config.capnp')
let server: TestServer

beforeAll(async () => {
  server = await serveGateway({ models: { m: { model: 'models/mnist-lenet.onnx', workers: 1 } } })
  await bundleTo(folder, 'edge-store.js')
  mkdirSync(join(folder, 'disk'))
  writeFileSync(config, configOf(server.url))
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true })
})

const configOf = (url: string) => `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      compatibilityDate = "2024-09-23",
      modules = [(name = "main.js", esModule = embed "main.js"), (name = "core.wasm", wasm = embed "core.wasm")],
      durableObjectNamespaces = [(className = "Keeper", uniqueKey = "keeper", enableSql = true)],
      durableObjectStorage = (localDisk = "disk"),
      bindings = [
        (name = "KEEPER", durableObjectNamespace = "Keeper"),
        (name = "SERVERS", json = ${JSON.stringify(JSON.stringify([url]))}),
      ],
      globalOutbound = "local",
    )),
    (name = "disk", disk = (path = ${JSON.stringify(join(folder, 'disk'))}, writable = true)),
    (name = "local", network = (allow = ["local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);`

/** MNIST's digits, shifted by up to three pixels. */
function shiftedDigits(count: number): Float32Array[] {
  const bytes = (path: string) => new Uint8Array(readFileSync(path)).buffer
  const { images } = digits(bytes('models/mnist-digits.npy'), bytes('models/mnist-labels.npy'))
  return Array.from({ length: count }, (_, i) => {
    const shift = Math.floor(i / images.length)
    const query = new Float32Array(784)
    query.set(
      images[i % images.length].subarray(0, 784 - 28 * (shift >> 2) - (shift % 4)),
      28 * (shift >> 2) + (shift % 4),
    )
    return query
  })
}

/** What a gateway that asks this server would save after these queries. */
async function taught(queries: readonly Float32Array[]): Promise<Uint8Array> {
  const workers = httpWorkers([server.url], { model: 'm' })
  const predictor = await createPredictor({ workers, policy: 'auto', right: 'label' })
  const { model } = unpack('predictor', await predictor.save()).content as ExperienceState
  await predictor.close()
  const fingerprint = model.fingerprint ?? undefined
  const criterion: Criterion = { kind: 'label', positions: 1, classes: 10 }
  const experience = new Experience(core, model, { fingerprint, criterion, memory: {}, warn: expect.fail })
  const answers = await server.gateway.predictor('m').predictAll(queries as Float32Array[])
  for (const [i, { output }] of answers.entries()) {
    Array.from(experience.train(queries[i], output.logits.data as Float32Array, server.url))
  }
  return experience.save()
}

interface Kept {
  /** Of each life of the object another. */
  born: string
  pairs: number
  keys: string[]
  warnings: string[]
}

const kept = async ({ url }: Edge): Promise<Kept> => (await fetch(`${url}/pairs`)).json()

const inferring = (some: readonly Float32Array[]) => {
  const data = some.flatMap((each) => [...each])
  return JSON.stringify({ inputs: [{ name: 'input', shape: [some.length, 1, 28, 28], datatype: 'FP32', data }] })
}

describe('a gateway in a Durable Object', ranBy('workerd', workerd), () => {
  const queries = shiftedDigits(PAIRS + 32)
  const body = inferring(queries.slice(PAIRS))

  it(`has all that ${PAIRS} queries and the last burst taught after an idle object was evicted`, () =>
    serving(config, async (edge) => {
      const state = await taught(queries.slice(0, PAIRS))
      await fetch(`${edge.url}/state`, { method: 'POST', body: state as BodyInit })
      const first = await kept(edge)
      expect([first.pairs, first.warnings]).toEqual([PAIRS, []])
      const { status } = await fetch(`${edge.url}/v2/models/m/infer`, { method: 'POST', body })
      expect(status).toBe(200)
      await sleep(500)
      const { pairs } = await kept(edge)
      expect(pairs).toBeGreaterThan(PAIRS)
      await sleep(EVICTED_MS)
      const again = await kept(edge)
      expect(again).toMatchObject({ born: expect.not.stringMatching(first.born), warnings: [] })
      expect(again.pairs).toBeGreaterThanOrEqual(pairs) // what waited to be learned is saved as well
      expect(again.keys.length - first.keys.length).toBeLessThanOrEqual(1) // no piece of the state before
    }))

  it(`aborted ${CRASHES} times while it saves, and its process killed as often, it begins with the last state that was whole`, async () => {
    let confirmed = PAIRS
    for (let i = 0; i < CRASHES; i++) {
      await serving(config, async (edge) => {
        for (const crash of [() => fetch(`${edge.url}/abort`), () => edge.kill()]) {
          const { pairs, warnings } = await kept(edge)
          expect([pairs >= confirmed, warnings]).toEqual([true, []])
          confirmed = pairs
          const saving = await fetch(`${edge.url}/saving`, { method: 'POST', body })
          const lines = saving.body?.pipeThrough(new TextDecoderStream()) as unknown as AsyncIterable<string>
          const read = async () => {
            for await (const line of lines) confirmed = Math.max(confirmed, ...line.trim().split('\n').map(Number))
          }
          read().catch(() => {})
          while (confirmed === pairs) await sleep(20)
          await sleep(SAVE_MS * Math.random())
          await crash()
        }
      })
    }
  })
})
