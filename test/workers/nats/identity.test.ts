/** Who a worker on NATS is: who holds its key, whatever it calls itself, and nobody else. */

import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createPredictor } from 'approxifer'
import { type KeyPair, natsWorkers, type ServeNatsOptions, serveNats } from 'approxifer/nats'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { keys } from '../../../src/platform/node-keys'
import { identityOf } from '../../../src/workers/worker'
import { keyOf } from '../../shared/fixed-keys'
import { handMember } from '../../shared/hand-member'
import { HandWorker } from '../../shared/hand-predictor'
import { type Verdict, verdicts } from '../../shared/heard-events'
import { joined, natsFleets } from '../../shared/nats-fleet'
import { natsInstalled } from '../../shared/nats-server'
import { inferring } from '../../shared/vectors'
import { PATIENCE_MS, until } from '../../shared/waiting'

const fleets = natsFleets()
const folder = mkdtempSync(join(tmpdir(), 'approxifer-keys-'))
afterAll(() => rmSync(folder, { recursive: true }))

const times = (factor: number) => Object.assign(new HandWorker('a'), { infer: inferring((x) => x.map((v) => factor * v)) }) // biome-ignore format: one line

async function machine(fleet: string, factor: number, options: Partial<ServeNatsOptions> = {}) {
  const service = await serveNats(fleets.url, { fleet, workers: [times(factor)], ...options })
  fleets.end(() => service.close())
  return service
}

async function predictorOf(fleet: string, state?: unknown) {
  const judged: Verdict[] = []
  const onWarning = vi.fn()
  const predictor = await createPredictor({
    scheme: { queries: 1, byzantine: 1 },
    memory: state === undefined ? false : { state },
    workers: natsWorkers(fleets.url, { fleet, onWarning }),
    onWarning,
    onEvent: verdicts((verdict) => judged.push(verdict)),
    deadlineMs: PATIENCE_MS,
  } as Parameters<typeof createPredictor>[0])
  fleets.end(() => predictor.close())
  const ask = async (n: number) => {
    for (let x = 1; x <= n; x++) expect((await predictor.predict(Float32Array.of(x, 1))).output.y.data[0]).toBe(2 * x)
  }
  return { predictor, judged, onWarning, ask }
}

describe.skipIf(!natsInstalled)('a machine on NATS', () => {
  it('that lied comes back under another name: it is still ejected, and a new key is a newcomer', async () => {
    const fleet = fleets.newName()
    for (const name of ['b', 'c', 'd']) await machine(fleet, 2, { name })
    const key = keyOf('liar')
    const first = await machine(fleet, 3, { name: 'a', key })
    const { predictor, judged, ask } = await predictorOf(fleet)
    const isEjected = () => judged.some(({ kind, identity }) => kind === 'ejected' && identity === key.identity)
    for (let tries = 0; tries < 200 && !isEjected(); tries++) await ask(10)
    expect(isEjected()).toBe(true)
    await first.close()
    const { names } = await machine(fleet, 3, { name: 'somebody-else', key })
    const { names: newcomers } = await machine(fleet, 2, { name: 'new' })
    const statsOf = (name: string) => predictor.stats().workers.find(({ worker }) => worker === name)
    await until(() => statsOf(names[0]) !== undefined && statsOf(newcomers[0]) !== undefined)
    await ask(100)
    expect(names[0]).not.toBe(first.names[0])
    expect(statsOf(names[0])).toMatchObject({ ejections: 1, rightAnswersLeft: expect.any(Number) })
    expect(statsOf(names[0])?.rightAnswersLeft).toBeGreaterThan(0)
    expect(statsOf(newcomers[0])).toMatchObject({ ejections: 0 })
    expect(judged.filter(({ kind }) => kind === 'ejected').length).toBe(1)
  })

  it('that lied is still ejected when the coordinator starts again with what it saved, under any name', async () => {
    const fleet = fleets.newName()
    for (const name of ['b', 'c', 'd']) await machine(fleet, 2, { name })
    const key = keyOf('liar')
    const first = await machine(fleet, 3, { name: 'a', key })
    const before = await predictorOf(fleet)
    const isEjected = () => before.judged.some(({ kind }) => kind === 'ejected')
    for (let tries = 0; tries < 200 && !isEjected(); tries++) await before.ask(10)
    const state = await before.predictor.save()
    await before.predictor.close()
    await first.close()
    const { names } = await machine(fleet, 3, { name: 'z', key })
    const { predictor, ask } = await predictorOf(fleet, state)
    const liar = () => predictor.stats().workers.find(({ worker }) => worker === names[0])
    await until(() => liar() !== undefined)
    await ask(50)
    expect(liar()).toMatchObject({ ejections: 1 })
    expect(liar()?.rightAnswersLeft).toBeGreaterThan(0)
  })

  it('without a key is none of the workers where some may lie, and a warning says why', async () => {
    const fleet = fleets.newName()
    const { names } = await machine(fleet, 3, { name: 'unsigned', key: false })
    for (const name of ['b', 'c', 'd']) await machine(fleet, 2, { name })
    const { predictor, onWarning, ask } = await predictorOf(fleet)
    await until(() => onWarning.mock.calls.flat().some((text) => text.includes(names[0])))
    await ask(50)
    expect(onWarning.mock.calls.flat().join()).toContain(
      `a worker was refused: ${names[0]}: key: expected one, since some may lie`,
    )
    expect(predictor.stats().workers.map(({ worker }) => worker)).not.toContain(names[0])
  })

  it('whose key is trusted convicts others where answers are sampled, and what calls itself so without it does not', async () => {
    const fleet = fleets.newName()
    const own = keyOf('own')
    const liar = await machine(fleet, 3, { name: 'own-too', key: keyOf('liar') })
    const judged: Verdict[] = []
    const made = createPredictor({
      workers: natsWorkers(fleets.url, { fleet, trusted: [own.identity] }),
      verify: { mode: 'sampled', rate: 1 },
      onEvent: verdicts((verdict) => judged.push(verdict)),
      onWarning() {},
    })
    await machine(fleet, 2, { name: 'own', key: own })
    const predictor = await made
    fleets.end(() => predictor.close())
    for (let tries = 0; tries < 1000 && !judged.length; tries++)
      await Promise.all([1, 2].map((x) => predictor.predict(Float32Array.of(x, 1))))
    expect(judged[0]).toMatchObject({ kind: 'ejected', worker: liar.names[0], identity: keyOf('liar').identity })
    expect((await predictor.predict(Float32Array.of(3, 1))).status).toBe('exact')
  })

  it('is trusted by its key, or all are: what is neither is refused', () => {
    for (const trusted of ['own', ['own'], 1])
      expect(() => natsWorkers(fleets.url, { fleet: 'f', trusted: trusted as never })).toThrow(
        /^trusted: expected true, false, or keys of machines, got /,
      )
  })

  // With the random part, a name of ten characters made an identity as long as a key, and its heartbeats were refused.
  it.each([undefined, ...['a', 'a name of ten', 'ten-digits', 'z'.repeat(100)]])(
    'without a key is a worker elsewhere, by the name %s',
    async (name) => {
      const fleet = fleets.newName()
      const { names } = await machine(fleet, 2, name === undefined ? { key: false } : { key: false, name })
      const predictor = await createPredictor({ workers: natsWorkers(fleets.url, { fleet }) })
      fleets.end(() => predictor.close())
      expect((await predictor.predict(Float32Array.of(3, 1))).output.y.data[0]).toBe(6)
      expect(predictor.stats().workers.map(({ worker }) => worker)).toEqual(names)
    },
  )

  it('that only sends again what another one said, or says that it is another one, does not join', async () => {
    const { name, service, changes, theirs } = await fleets.start([new HandWorker('a')])
    const raw = await fleets.connect()
    const said: [string, Uint8Array][] = []
    raw.subscribe(`approxifer.${name}.beat.>`, {
      callback: (_, { subject, data }) => void said.push([subject, data.slice()]),
    })
    await raw.flush()
    const worker = await joined(changes)
    await theirs.run(1000)
    await until(() => said.length > 1)
    await service.close()
    expect((await changes.next()).value).toEqual({ remove: worker.name })
    const [subject, beat] = said[0]
    const asked = vi.fn()
    raw.subscribe(subject.replace('.beat.', '.worker.'), {
      callback: (_, { data, reply = '' }) => {
        asked(data[1])
        raw.publish(reply, data)
      },
    })
    await raw.flush()
    raw.publish(subject, beat)
    await until(() => asked.mock.calls.length > 0)
    const impostor = handMember(raw, name, worker.name, {
      key: { ...keyOf('other'), identity: identityOf(worker) } as KeyPair,
    })
    impostor()
    handMember(raw, name, 'late')() // the first to join after that
    expect((await joined(changes)).name).toBe('late')
    expect((changes as ReturnType<typeof natsWorkers>).forged).toBeGreaterThan(0)
  })

  it('of which the key is in a file is the same after a restart; the file is for nobody else', async () => {
    const path = join(folder, 'deep', 'key.pem')
    const [first, second] = await Promise.all([keys.kept(path), keys.kept(path)])
    const third = await keys.kept(path)
    expect([second.identity, third.identity]).toEqual([first.identity, first.identity])
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readFileSync(path, 'utf8')).toMatch(/^-----BEGIN PRIVATE KEY-----\n/)
    const verify = keys.verifier(first.identity)
    const signature = await third.sign(Uint8Array.of(1, 2))
    expect([await verify(Uint8Array.of(1, 2), signature), await verify(Uint8Array.of(1, 3), signature)]).toEqual([
      true,
      false,
    ])
    const warned: string[] = []
    await keys.kept(path, (text) => warned.push(text))
    expect(warned).toEqual([])
    chmodSync(path, 0o644)
    await keys.kept(path, (text) => warned.push(text))
    expect(warned).toEqual([`key: other users of this machine can read ${path} and impersonate it: chmod 600`])
    writeFileSync(path, 'nonsense')
    await expect(keys.kept(path)).rejects.toThrow(`key: expected a private key of Ed25519 in PEM in ${path}`)
  })
})
