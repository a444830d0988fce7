/** What models learned, over the end of a gateway: kept whole, or started without. */

import { execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createGateway, fileStore, type GatewayModel, type Store } from 'approxifer/gateway'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker, turn } from '../shared/hand-predictor'
import { doubling } from '../shared/vectors'
import { Feed } from '../shared/worker-changes'

/** How often the process is killed. */
const KILLS = Number(process.env.APPROXIFER_KILLS ?? 10)
/** Which has neither named pipes in folders nor modes of files. */
const onWindows = process.platform === 'win32'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'approxifer-state-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function model(more: object = {}): GatewayModel {
  const workers = Array.from({ length: 3 }, (_, i) => {
    const worker = new HandWorker(`w${i}`)
    worker.infer = doubling
    return worker
  })
  const right = 'label'
  const scheme = { queries: 2, stragglers: 1 }
  return { workers, scheme, right, verify: { audit: 0 }, maxWaitMs: 0, ...more } as GatewayModel
}

async function started(store: Store, models: Record<string, GatewayModel>, more: object = {}) {
  const warnings: string[] = []
  const gateway = createGateway({ models, store, onWarning: (text) => warnings.push(text), ...more })
  await gateway.ready()
  return { gateway, warnings }
}
type Started = Awaited<ReturnType<typeof started>>['gateway']

let asked = 0

async function ask(gateway: Started, name: string, rows: number, parameters: object = {}) {
  const data = Array.from({ length: 2 * rows }, () => Math.sin((asked++) ** 2))
  const inputs = [{ name: 'x', shape: [rows, 2], datatype: 'FP32', data }]
  const body = JSON.stringify({ inputs, parameters })
  const response = await gateway(
    new Request(`http://test/v2/models/${encodeURIComponent(name)}/infer`, { method: 'POST', body }),
  )
  expect([response.status, (await response.json()).error]).toEqual([200, undefined])
}

/** Fewer than 128 are not worth saving. */
async function teach(gateway: Started, name: string, tenant?: string) {
  for (let round = 0; round < 100 && remembered(gateway, name, tenant) < 140; round++) {
    await ask(gateway, name, 10, tenant === undefined ? {} : { tenant })
    await gateway.predictor(name).save(tenant) // what it has not yet thought over is done by this
  }
  expect(remembered(gateway, name, tenant)).toBeGreaterThanOrEqual(140)
}

const remembered = (gateway: Started, name = 'm', tenant?: string) => gateway.predictor(name).stats(tenant).memoryPairs

it('what was learned is there again, also under names that are no file names', async () => {
  const name = '../../ä b/..'
  const { gateway } = await started(fileStore(join(folder, 'new')), { [name]: model() })
  await teach(gateway, name)
  await gateway.save()
  const before = remembered(gateway, name)
  await gateway.close()
  expect(readdirSync(join(folder, 'new'))).toEqual(['%2E%2E%2F%2E%2E%2F%C3%A4%20b%2F%2E%2E.state'])
  const again = await started(fileStore(join(folder, 'new')), { [name]: model() })
  expect([remembered(again.gateway, name), again.warnings]).toEqual([before, []])
  await again.gateway.close()
})

it('tenants are kept apart, and all are kept', async () => {
  const { gateway } = await started(fileStore(folder), { m: model({ limits: { tenants: 4 } }) })
  await teach(gateway, 'm', 'a')
  await teach(gateway, 'm', '__proto__')
  await gateway.save()
  const before = ['a', '__proto__'].map((tenant) => remembered(gateway, 'm', tenant))
  await gateway.close()
  const again = await started(fileStore(folder), { m: model({ limits: { tenants: 4 } }) })
  expect(['a', '__proto__'].map((tenant) => remembered(again.gateway, 'm', tenant))).toEqual(before)
  expect(again.warnings).toEqual([])
  await again.gateway.close()
})

it.each([
  ['', 1],
  [', in tenants', 4],
])('what was learned of a model that the workers have no more is gone from the store%s', async (_, tenants) => {
  const feed = new Feed()
  const workersOf = (fingerprint: string) => {
    return [0, 1, 2].map((i) => Object.assign(new HandWorker(`${fingerprint}${i}`), { fingerprint, infer: doubling }))
  }
  const [old, others] = [workersOf('x'), workersOf('y')]
  feed.tell(...old.map((worker) => ({ add: worker })))
  const { gateway } = await started(fileStore(folder), { m: model({ workers: feed, limits: { tenants } }) })
  await teach(gateway, 'm', tenants > 1 ? 'a' : undefined)
  await gateway.save()
  feed.tell(...old.map(({ name }) => ({ remove: name })), ...others.map((worker) => ({ add: worker })))
  await turn()
  await gateway.close() // nobody has asked since it was saved
  const again = await started(fileStore(folder), { m: model({ limits: { tenants } }) }) // whose workers do not say what they have
  expect([gateway.names, remembered(again.gateway, 'm', tenants > 1 ? 'a' : undefined)]).toEqual([['m'], 0])
  await again.gateway.close()
})

it('a saved memory is not loaded, and does not grow, once the configuration asks for no memory', async () => {
  const reuse = { maxError: 0.05 }
  const { gateway } = await started(fileStore(folder), { m: model({ scheme: undefined, reuse }) })
  await teach(gateway, 'm')
  const before = remembered(gateway)
  await gateway.close()
  const same = await started(fileStore(folder), { m: model({ scheme: undefined, reuse }) })
  expect(remembered(same.gateway)).toBe(before)
  await same.gateway.close()
  const without = await started(fileStore(folder), { m: model({ scheme: undefined }) })
  expect(remembered(without.gateway)).toBe(0)
  for (let round = 0; round < 20; round++) await ask(without.gateway, 'm', 10)
  await without.gateway.predictor('m').save() // what it has not yet thought over is done by this
  expect(remembered(without.gateway)).toBe(0)
  await without.gateway.close()
  expect([same.warnings, without.warnings]).toEqual([[], []])
})

it('a damaged state, another model’s, and a store that fails cost a warning, and no start', async () => {
  const { gateway } = await started(fileStore(folder), { m: model() })
  await teach(gateway, 'm')
  await gateway.close()
  const path = join(folder, 'm.state')
  const whole = readFileSync(path)
  const wrong: Record<string, Uint8Array> = {
    empty: new Uint8Array(),
    cut: whole.subarray(0, -9),
    flipped: whole.map((byte, i) => (i === whole.length - 20 ? byte ^ 1 : byte)),
    foreign: Buffer.from('{"tenants":[["a",3]]}\nabc'),
    torn: Buffer.from('{"tenants":[["a",3'),
    long: Buffer.from('{"tenants":[["a",1e15]]}\nabc'),
  }
  for (const [what, bytes] of Object.entries(wrong)) {
    writeFileSync(path, bytes)
    const again = await started(fileStore(folder), {
      m: model({
        onWarning: (text: string) => again?.warnings.push(text),
        limits: { tenants: what === 'foreign' ? 2 : 1 },
      }),
    })
    expect([what, remembered(again.gateway)]).toEqual([what, 0])
    await ask(again.gateway, 'm', 1)
    await again.gateway.close()
  }
  const bad: Store = {
    read: () => Promise.reject(new Error('no disk')),
    write: () => Promise.reject(new Error('no space')),
  }
  const again = await started(bad, { m: model() })
  await ask(again.gateway, 'm', 1)
  await expect(again.gateway.save()).rejects.toThrow('no space')
  await again.gateway.close()
  expect(again.warnings).toEqual([expect.stringContaining('no disk'), expect.stringContaining('no space')])
})

it('a new version of the same model goes on with what the old one learned', async () => {
  const { gateway } = await started(fileStore(folder), { m: model() })
  await teach(gateway, 'm')
  const before = remembered(gateway)
  await gateway.load('m', { ...model(), version: '2' } as GatewayModel)
  expect(remembered(gateway)).toBe(before)
  await gateway.close()
})

/** A clock that counts its timers. */
class CountedClock extends VirtualClock {
  timers = 0

  override after(ms: number, f: () => void): () => void {
    this.timers++
    const end = () => this.timers--
    const cancel = super.after(ms, () => {
      end()
      f()
    })
    return () => {
      end()
      cancel()
    }
  }

  async pass(ms: number): Promise<void> {
    await this.run(this.now() + ms)
    await new Promise(setImmediate)
  }
}

describe('is written', () => {
  const MINUTE = 60_000

  async function opened(more: object = {}) {
    const clock = new CountedClock()
    const writes: string[] = []
    const store: Store = { read: async () => undefined, write: async (name) => void writes.push(name) }
    const testing = { clock: { ...systemClock } } // whose memories are in this thread: no time passes until they are saved
    const models = { m: model({ testing, ...more }), n: model({ testing }) }
    return { ...(await started(store, models, { clock })), clock, writes }
  }

  it('when nobody has asked for 10 s, once, and then there is no timer', async () => {
    const { gateway, clock, writes } = await opened()
    expect(clock.timers).toBe(0)
    for (let i = 0; i < 5; i++) {
      await ask(gateway, 'm', 4)
      await clock.pass(9_999)
      expect([writes, clock.timers]).toEqual([[], 1])
    }
    await clock.pass(1)
    expect([writes, clock.timers]).toEqual([['m'], 0])
    await clock.pass(10 * MINUTE)
    expect([writes, clock.timers]).toEqual([['m'], 0])
    await ask(gateway, 'n', 4)
    await clock.pass(10_000)
    expect([writes, clock.timers]).toEqual([['m', 'n'], 0])
    await gateway.close()
    expect(writes).toEqual(['m', 'n'])
  })

  it('once a minute while queries go on', async () => {
    const { gateway, clock, writes } = await opened()
    for (let second = 0; second < 170; second += 5) {
      await ask(gateway, 'm', 4)
      await clock.pass(5_000)
    }
    expect(writes).toEqual(['m', 'm'])
    await clock.pass(10_000)
    expect([writes, clock.timers]).toEqual([['m', 'm', 'm'], 0])
    await gateway.close()
  })

  it('by save, and by close if anything was asked since', async () => {
    const { gateway, clock, writes } = await opened()
    await ask(gateway, 'n', 4)
    await gateway.save()
    await clock.pass(MINUTE)
    expect([writes, clock.timers]).toEqual([['n'], 0])
    await ask(gateway, 'n', 4)
    await gateway.close()
    expect([writes, clock.timers]).toEqual([['n', 'n'], 0])
  })

  it('after a request that was under way at the last save', async () => {
    let answer = () => {}
    const answered = new Promise<void>((resolve) => (answer = resolve))
    const infer: typeof doubling = async (...asked) => {
      await answered
      return doubling(...asked)
    }
    const workers = [0, 1, 2].map((i) => Object.assign(new HandWorker(`w${i}`), { infer }))
    const { gateway, clock, writes } = await opened({ workers, hangMs: 1e9 })
    const asking = ask(gateway, 'm', 1)
    await ask(gateway, 'n', 1)
    await clock.pass(30_000)
    expect([writes, clock.timers]).toEqual([[], 1]) // a burst goes on while a request is under way
    await gateway.save()
    expect(writes.sort()).toEqual(['m', 'n'])
    answer()
    await asking
    await clock.pass(10_000)
    expect([writes, clock.timers]).toEqual([['m', 'n', 'm'], 0])
    await gateway.close()
  })
})

it('what is asked while it is being written is written the next time', async () => {
  let written = () => {}
  let writes = 0
  const write = async () => {
    if (++writes === 1) await new Promise<void>((resolve) => (written = resolve))
  }
  const { gateway } = await started({ read: async () => undefined, write }, { m: model() })
  await ask(gateway, 'm', 4)
  const saved = gateway.save()
  while (!writes) await new Promise(setImmediate)
  await ask(gateway, 'm', 4)
  written()
  await saved
  await gateway.close()
  expect(writes).toBe(2)
})

it(`killed ${KILLS} times while it saves, it always starts with the last complete state`, async () => {
  let last = 0
  for (let kill = 0; kill < KILLS; kill++) {
    const child = spawn(process.execPath, ['test/fixtures/saving.js', folder], { stdio: ['ignore', 'pipe', 'pipe'] })
    let errors = ''
    child.stderr.on('data', (text) => (errors += text))
    let lines = ''
    const dead = new Promise<void>((resolve) => child.on('exit', () => resolve()))
    await new Promise<void>((resolve, reject) => {
      child.stdout.on('data', (text) => {
        lines += text
        // Some time after its first save began: at random within the saves that follow.
        if (lines.includes('saving')) setTimeout(resolve, 40 * Math.random())
      })
      child.on('exit', (code) => reject(new Error(`exited with ${code}: ${errors}`)))
    })
    child.kill('SIGKILL')
    await dead
    const [, found] = /^started (\d+)$/m.exec(lines) ?? []
    expect(errors).toBe('')
    // What a process said that it saved is there, whenever it was killed; maybe the one it was at work on, too.
    expect(Number(found)).toBeGreaterThanOrEqual(last)
    const saved = [...lines.matchAll(/^saved (\d+)$/gm)].map((match) => Number(match[1]))
    last = saved.at(-1) ?? Number(found)
  }
})

it('two gateways that share a folder never read a torn state, and the one written last counts', async () => {
  const [one, other] = [fileStore(folder), fileStore(folder)]
  const state = (byte: number, length: number) => new Uint8Array(length).fill(byte)
  const lengths = [1_000_000, 700_000]
  for (let round = 0; round < 10; round++) {
    const writes = [one, other].map((store, i) => store.write('m', state(i, lengths[i])))
    const reads = await Promise.all([one.read('m'), ...writes, other.read('m')])
    for (const bytes of [reads[0], reads.at(-1), await one.read('m')]) {
      if (bytes) expect(Buffer.compare(bytes, state(bytes[0], lengths[bytes[0]]))).toBe(0)
    }
  }
  await other.write('m', state(1, 3))
  expect([...((await one.read('m')) ?? [])]).toEqual([1, 1, 1])
  expect(readdirSync(folder)).toEqual(['m.state'])
})

it('temporary files that killed processes left are removed, and a failed write leaves none', async () => {
  const store = fileStore(folder)
  const [left, recent] = ['0123456789abcdef', 'fedcba9876543210'].map((id) => join(folder, `n.state.${id}.tmp`))
  for (const path of [left, recent, join(folder, 'notes.tmp')]) writeFileSync(path, 'half')
  const before = new Date(Date.now() - 100_000)
  for (const path of [left, join(folder, 'notes.tmp')]) utimesSync(path, before, before)
  await store.write('m', Uint8Array.of(1))
  mkdirSync(join(folder, 'full.state', 'of files'), { recursive: true })
  await expect(store.write('full', Uint8Array.of(1))).rejects.toThrow()
  expect(readdirSync(folder).sort()).toEqual(['full.state', 'm.state', basename(recent), 'notes.tmp'])
})

it.skipIf(onWindows)('a pipe in the place of a state is refused at once, and replaced by the next write', async () => {
  execFileSync('mkfifo', [join(folder, 'm.state')])
  const store = fileStore(folder)
  await expect(store.read('m')).rejects.toThrow('m.state: expected a regular file, got another kind')
  await store.write('m', Uint8Array.of(7))
  expect([...((await store.read('m')) ?? [])]).toEqual([7])
})

it.skipIf(onWindows)('is for nobody else on the machine to read', async () => {
  const own = join(folder, 'own')
  const store = fileStore(own)
  await store.write('m', Uint8Array.of(1))
  chmodSync(join(own, 'm.state'), 0o644)
  await store.write('m', Uint8Array.of(2))
  const modes = [own, ...readdirSync(own).map((name) => join(own, name))].map((path) => statSync(path).mode & 0o777)
  expect(modes).toEqual([0o700, 0o600])
})
