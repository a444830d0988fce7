/** Connections of a worker over HTTP: kept, closed by the server, dropped by an abort. */

import { execFile } from 'node:child_process'
import { createServer, type Server, type Socket } from 'node:net'
import { createPredictor } from 'approxifer'
import { httpWorkers } from 'approxifer/http'
import { describe, expect, it, onTestFinished } from 'vitest'
import { VirtualClock } from '../../../src/testing/virtual-clock'
import type { HttpOptions } from '../../../src/workers/http/options'
import { httpWorker } from '../../../src/workers/http/worker'
import { identityOf, type ModelWorker } from '../../../src/workers/worker'
import { quirkServer, row } from '../../shared/http-worker'
import { PretendServer } from '../../shared/simulated-server'
import { inferRow } from '../../shared/vectors'
import { PATIENCE_MS, until } from '../../shared/waiting'
import { free } from '../../shared/worker-contract'

/** What a script in a process of its own prints. */
function spawnChild(script: string, ...args: string[]): Promise<{ code: number; text: string }> {
  const options = { timeout: PATIENCE_MS }
  return new Promise((resolve) => {
    execFile(process.execPath, ['--input-type=module', '-e', script, ...args], options, (error, text, said) =>
      resolve({ code: error ? Number(error.code ?? -1) : 0, text: text + said }),
    )
  })
}

describe('over real connections', () => {
  /** A server that does with each connection's requests what it is told. */
  async function rawServer(answer: (socket: Socket, request: string, nth: number) => void): Promise<string> {
    const sockets = new Set<Socket>()
    const listening: Server = createServer((socket) => {
      sockets.add(socket)
      let nth = 0
      socket.on('data', (data) => answer(socket, data.toString('latin1'), nth++))
      socket.on('error', () => {})
    })
    await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy()
      listening.close()
    })
    return `http://127.0.0.1:${(listening.address() as { port: number }).port}`
  }
  const sent = (json: unknown, more = '') => {
    const body = JSON.stringify(json)
    return `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n${more}\r\n${body}`
  }
  const metadata = new PretendServer().metadata
  const y = { name: 'y', datatype: 'FP32', shape: [1, 2], data: [6, 8] }
  /** The usual answers. */
  const usual = (request: string) =>
    request.startsWith('GET /v2/models/m HTTP') ? sent(metadata) : sent({ outputs: [y] })
  const start = async (url: string, options: Partial<HttpOptions> = {}): Promise<ModelWorker> => {
    const worker = await httpWorker(url, { model: 'm', binary: false, ...options })
    onTestFinished(() => worker.close())
    return worker
  }

  it.each([
    ['the same model: it counts', [6, 8], '6,8'],
    ['another model: it does not', [7, 9], 'WORKER'],
  ])('a row under way when the server closes a connection, and then has %s', async (_, then, outcome) => {
    const sockets = new Set<Socket>()
    let data = [6, 8]
    let held: Socket | undefined
    let holds = false
    const url = await rawServer((socket, request) => {
      sockets.add(socket)
      if (!request.startsWith('POST') || !holds) {
        return socket.write(request.startsWith('POST') ? sent({ outputs: [{ ...y, data }] }) : usual(request))
      }
      held = socket
      holds = false
    })
    const worker = await start(url, { concurrency: 2, onWarning: () => {} })
    await Promise.all([inferRow(worker, row), inferRow(worker, row)]) // over a connection each
    holds = true
    const given = inferRow(worker, row).then(String, (error) => error.code)
    await until(() => held !== undefined)
    for (const socket of sockets) if (socket !== held) socket.destroy()
    data = then
    await until(() => !worker.free) // it was noticed
    held?.write(sent({ outputs: [y] }))
    expect(await given).toBe(outcome)
  })

  it.each(['unannounced', 'as announced'])(
    'after it has closed a connection, %s, and come back with another model at once: no row is asked of that',
    async (how) => {
      const sockets = new Set<Socket>()
      let data = [6, 8]
      let more = ''
      const url = await rawServer((socket, request) => {
        sockets.add(socket)
        const isRow = request.startsWith('POST')
        socket.write(isRow ? sent({ outputs: [{ ...y, data }] }, more) : usual(request))
        if (isRow && more) socket.end()
      })
      const worker = await start(url, { onWarning: () => {} }) // it was examined just now
      if (how === 'as announced') more = 'connection: close\r\n'
      expect([...(await inferRow(worker, row))]).toEqual([6, 8])
      if (!more) for (const socket of sockets) socket.destroy()
      data = [7, 9]
      const given = new Set<string>()
      await until(() => {
        if (worker.free) inferRow(worker, row).then((answer) => given.add(String(answer)), () => {}) // biome-ignore format: one line
        return worker.gone
      })
      expect([...given]).not.toContain('7,9')
    },
  )

  it('that closes a connection after each reply, as announced, is not examined for that', async () => {
    let probes = 0
    const url = await rawServer((socket, request) => {
      if (request.startsWith('GET /v2/models/m HTTP')) probes++
      socket.end(request.startsWith('POST') ? sent({ outputs: [y] }, 'connection: close\r\n') : usual(request).replace('\r\n', '\r\nconnection: close\r\n')) // biome-ignore format: one line
    })
    const worker = await start(url)
    for (let i = 0; i < 40; i++) {
      await until(() => worker.free)
      await inferRow(worker, row)
    }
    expect(probes).toBeLessThan(8)
  })

  it('comes from the address that it answers from, whatever its name says', async () => {
    const url = await rawServer((socket, request) => socket.write(usual(request)))
    const [worker, named] = [await start(url), await start(url.replace('127.0.0.1', 'localhost'))]
    expect([worker.origin, named.origin]).toEqual(['127.0.0.1', '127.0.0.1'])
  })

  it('is one machine under all names, with all its models', async () => {
    const url = await rawServer((socket, request) => socket.write(usual(request.replaceAll('/a/', '/'))))
    const named = url.replace('127.0.0.1', 'localhost')
    const others = [await rawServer((socket, request) => socket.write(usual(request))), url]
    const workers = await Promise.all([url, named, `${named}/a`, ...others].map((each) => start(each)))
    expect(workers.map(({ name }) => name)).toEqual([url, named, `${named}/a`, ...others].map((each) => each.slice(7)))
    const [first, second, third, other, again] = workers.map(identityOf)
    expect([second, third, again]).toEqual([first, first, first])
    expect(other).not.toBe(first)
    const scheme = { queries: 1, byzantine: 1 }
    const list = [url, named, others[0]]
    const refused = createPredictor({ scheme, workers: httpWorkers(list, { model: 'm', binary: false }) })
    await expect(refused).rejects.toThrow('workers: expected >= 3 machines, got 2 (3 workers), and no others can join')
  })

  it('a connection that was used and is closed before the reply: once more on another', async () => {
    let drops = 0
    const url = await rawServer((socket, request, nth) => {
      if (nth < 3 || drops) socket.write(usual(request))
      else socket.destroy(drops++ as never)
    })
    const worker = await start(url)
    expect([...(await inferRow(worker, row))]).toEqual([6, 8])
    expect(drops).toBe(1)
  })

  it('but not for ever', async () => {
    let rows = 0
    let isStarting = true
    const url = await rawServer((socket, request) => {
      if (isStarting || !request.startsWith('POST')) return socket.write(usual(request))
      rows++
      return socket.destroy()
    })
    const worker = await start(url)
    isStarting = false
    await expect(inferRow(worker, row)).rejects.toMatchObject({ code: 'WORKER' })
    expect(rows).toBeLessThanOrEqual(2) // the row, and a probe before it would be sent again
    expect(worker.gone).toBe(true)
  })

  it('a reply without an end is not read to it', async () => {
    let isStarting = true
    let closed = 0
    const url = await rawServer((socket, request) => {
      if (isStarting) return socket.write(usual(request))
      socket.on('close', () => closed++)
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
      const more = () => {
        if (!socket.destroyed) socket.write(`1000\r\n${' '.repeat(4096)}\r\n`, () => setImmediate(more))
      }
      return more()
    })
    const worker = await start(url)
    isStarting = false
    await expect(inferRow(worker, row)).rejects.toMatchObject({ code: 'PROTOCOL', message: expect.stringContaining('longer') }) // biome-ignore format: one line
    await until(() => closed === 1)
  })

  it('an abort closes the connection', async () => {
    let isStarting = true
    let closed = false
    let asked = () => {}
    const wasAsked = new Promise<void>((resolve) => {
      asked = resolve
    })
    const url = await rawServer((socket, request) => {
      if (isStarting || !request.startsWith('POST')) return socket.write(usual(request))
      socket.on('close', () => {
        closed = true
      })
      return asked()
    })
    const worker = await start(url)
    isStarting = false
    const abort = new AbortController()
    const call = inferRow(worker, row, { signal: abort.signal })
    await wasAsked
    abort.abort()
    await expect(call).rejects.toMatchObject({ code: 'ABORTED' })
    await until(() => closed)
    await free(worker)
  })

  it('a closed connection is looked into at once, without a query', async () => {
    const made = await quirkServer()
    const clock = new VirtualClock()
    const worker = await httpWorker(made.url, { model: 'm', clock })
    onTestFinished(() => worker.close())
    const before = made.seen.length
    await clock.run(1100) // it was examined just now
    made.drop()
    await until(() => made.seen.slice(before).some(({ path }) => path === '/v2/models/m/infer'))
    await until(() => worker.free)
  })

  it('keeps to one connection', async () => {
    const made = await quirkServer()
    const worker = await httpWorker(made.url, { model: 'm', concurrency: 1 })
    for (let i = 0; i < 20; i++) await inferRow(worker, row)
    expect(made.connections).toBe(1)
    await Promise.all([worker.close(), worker.close()])
    await until(() => made.connections === 0)
  })

  it('nothing keeps the process alive, closed or not', async () => {
    const made = await quirkServer()
    for (const end of ['await worker.close()', '']) {
      const script = `
        import { httpWorker } from 'approxifer/http'
        const worker = await httpWorker(process.argv[1], { model: 'm' })
        const [{ data: y }] = await worker.infer([{ data: Float32Array.of(0, 5), shape: [2] }])
        ${end}
        console.log(String(y))`
      const child = spawnChild(script, made.url)
      expect(await child).toEqual({ code: 0, text: '6,10\n' })
    }
  })
})
