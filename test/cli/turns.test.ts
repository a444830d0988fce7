import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { afterEach, expect, it } from 'vitest'
import { type Listening, listen } from '../../src/cli/serve/listen'

const MOST = 8
const limits = {
  host: '127.0.0.1',
  port: 0,
  headerMs: 10_000,
  requestMs: 10_000,
  maxConnections: 1000,
  certificate: undefined,
}
const open: Listening[] = []

afterEach(async () => {
  for (const each of open.splice(0)) await each.end(0)
})

async function listening(handle: () => Response): Promise<number> {
  const own = await listen(handle, { ...limits, onError: (error) => expect.unreachable(String(error)) })
  open.push(own)
  return Number(new URL(own.url).port)
}

async function ask(port: number, agent: Agent, path = '/'): Promise<number | undefined> {
  const asked = request({ host: '127.0.0.1', port, path, agent, method: 'POST' }).end('{}')
  const [response] = await once(asked, 'response')
  await once(response.resume(), 'end')
  return response.statusCode
}

it('what hundreds of connections ask at once is begun eight at a time, all of it, and others have their turns between', async () => {
  let [turn, isOver] = [0, false]
  const count = () => {
    turn++
    if (!isOver) setImmediate(count)
  }
  count()
  const begun = new Map<number, number>()
  const port = await listening(() => {
    begun.set(turn, (begun.get(turn) ?? 0) + 1)
    return new Response('{}')
  })
  const agent = new Agent({ keepAlive: true })
  for (let round = 0; round < 2; round++) {
    const statuses = await Promise.all(Array.from({ length: 300 }, () => ask(port, agent)))
    expect(new Set(statuses)).toEqual(new Set([200]))
  }
  isOver = true
  agent.destroy()
  const counts = [...begun.values()]
  expect(counts.reduce((a, b) => a + b)).toBe(600)
  expect(Math.max(...counts)).toBeLessThanOrEqual(2 * MOST) // those before this count's own turn, and those after it
})

it('a request whose client is gone before its turn disturbs nobody', async () => {
  const port = await listening(() => new Response('{}'))
  const agent = new Agent({ keepAlive: true })
  const leaving = Array.from({ length: 100 }, () => request({ host: '127.0.0.1', port, method: 'POST' }).on('error', () => {})) // biome-ignore format: one line
  const staying = Array.from({ length: 50 }, () => ask(port, agent))
  for (const each of leaving) each.end('{}').destroy()
  expect(await Promise.all(staying)).toEqual(Array(50).fill(200))
  agent.destroy()
})
