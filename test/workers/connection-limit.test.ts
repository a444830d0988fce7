import { expect, it } from 'vitest'
import { Cancellation } from '../../src/base/abort'
import { ConnectionLimit, connectionLimit } from '../../src/workers/connection-limit'

/** Requests and checks that tell when they have their connection. */
function open(most: number) {
  const limit = new ConnectionLimit(most)
  const started: string[] = []
  const ask = async (name: string, how: 'acquire' | 'acquireForCheck' = 'acquire', abort = new Cancellation()) => {
    const release = await limit[how](abort)
    started.push(name)
    return release
  }
  return { limit, started, ask, check: (name: string, abort?: Cancellation) => ask(name, 'acquireForCheck', abort) }
}

const tick = () => new Promise((resolve) => setTimeout(resolve))

it('further requests wait in turn; giving a connection back twice counts once', async () => {
  const { limit, started, ask } = open(2)
  const releases = [await ask('a'), await ask('b')]
  const waiting = [ask('c'), ask('d')]
  await tick()
  expect(started).toEqual(['a', 'b'])
  releases[0]()
  releases[0]()
  await tick()
  expect(started).toEqual(['a', 'b', 'c'])
  releases[1]()
  for (const release of await Promise.all(waiting)) release()
  expect(limit.free).toBe(2)
})

it('checks leave one connection to calls, since servers that hang hold theirs for long', async () => {
  const { started, ask, check } = open(4)
  for (const name of ['1', '2', '3', '4']) void check(name)
  void ask('a')
  await tick()
  expect(started).toEqual(['1', '2', '3', 'a'])
})

it('while calls wait, checks go first until they hold half of the connections', async () => {
  const { started, ask, check } = open(4)
  const releases = await Promise.all(['a', 'b', 'c', 'd'].map((name) => ask(name)))
  for (const name of ['1', '2', '3']) void check(name)
  for (const name of ['e', 'f', 'g']) void ask(name)
  for (const release of releases) release()
  await tick()
  expect(started.slice(4)).toEqual(['1', '2', 'e', 'f'])
})

it('a request that is aborted while it waits leaves its turn to the next', async () => {
  const { started, ask } = open(1)
  const release = await ask('a')
  const abort = new Cancellation()
  const aborted = ask('b', 'acquire', abort)
  void ask('c')
  abort.abort(new Error('left'))
  await expect(aborted).rejects.toThrow('left')
  release()
  await tick()
  expect(started).toEqual(['a', 'c'])
})

it('each Durable Object of an isolate has a limit of its own, since none may wake what waits in another', () => {
  let current = 'one'
  const thisRequest = () => {
    const own = current
    return () => current === own
  }
  const runtime = { connections: 6, thisRequest }
  const limit = connectionLimit(runtime)
  expect(connectionLimit(runtime)).toBe(limit)
  current = 'other'
  expect(connectionLimit(runtime)).not.toBe(limit)
})

it('a runtime without such a limit has none, and one that does not tell its requests apart shares none', () => {
  expect(connectionLimit({})).toBeUndefined()
  const [one, other] = [connectionLimit({ connections: 6 }), connectionLimit({ connections: 6 })]
  expect(one).not.toBe(other)
})
