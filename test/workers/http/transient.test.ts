/** One address that stands for many servers, and fails once: the query is asked again there. */

import { createPredictor } from 'approxifer'
import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../../../src/testing/virtual-clock'
import { httpWorker } from '../../../src/workers/http/worker'
import { type Asked, PretendServer, Reply } from '../../shared/simulated-server'

/** A predictor on one server, through which queries go once it is ready. */
async function alone() {
  const clock = new VirtualClock()
  const server = new PretendServer()
  const common = { model: 'm', binary: false, fetch: server.fetch, clock, onWarning: () => {} } as const
  const started = httpWorker('http://service:8000', common)
  await clock.run(1000)
  const predictor = await createPredictor({ workers: [await started], testing: { clock }, onWarning: () => {} })
  const ask = async (x: number) => {
    const given = predictor.predict(Float32Array.of(x, 1)).then(
      ({ output }) => output.y?.data[0],
      ({ code }) => code,
    )
    await clock.run(clock.now() + 3000)
    return given
  }
  return { server, predictor, ask }
}

const isQuery = ({ json }: Asked, x: number) => json?.inputs[0].data[0] === x
const reset = () => Promise.reject(new TypeError('fetch failed', { cause: Object.assign(new Error('reset'), { code: 'ECONNRESET' }) })) // biome-ignore format: one line

describe('one address that stands for many', () => {
  it.each([
    ['a 500', () => Reply.json({ error: 'out of memory' }, { status: 500 })],
    ['a 502 of the proxy before it', () => new Reply('<html>Bad Gateway</html>', { status: 502 })],
    ['a connection that was reset', reset],
  ])('%s, once: the query is answered all the same', async (_, fail) => {
    const { server, predictor, ask } = await alone()
    expect(await ask(1)).toBe(2)
    let failures = 0
    server.instead = (asked) => (isQuery(asked, 3) && !failures++ ? (fail() as Reply) : undefined)
    expect(await ask(3)).toBe(6)
    expect(failures).toBeGreaterThan(0)
    await predictor.close()
  })

  it('a 502 for one query alone, always: its server may die of it, so that no other try is made after two', async () => {
    const { server, predictor, ask } = await alone()
    let failures = 0
    server.instead = (asked) =>
      isQuery(asked, 3) ? (failures++, new Reply('Bad Gateway', { status: 502 })) : undefined
    expect([await ask(3), failures]).toEqual(['WORKER', 2])
    expect(await ask(4)).toBe(8)
    await predictor.close()
  })

  it('always: an error after two tries', async () => {
    const { server, predictor, ask } = await alone()
    let failures = 0
    server.instead = (asked) =>
      isQuery(asked, 3) ? (failures++, Reply.json({ error: 'no' }, { status: 500 })) : undefined
    expect([await ask(3), failures]).toEqual(['WORKER', 2])
    expect(await ask(4)).toBe(8)
    await predictor.close()
  })
})
