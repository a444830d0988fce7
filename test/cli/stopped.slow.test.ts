/** Processes that are stopped for 40 s, and go on: one that asks, and at the same time a server and a machine that another one asks. */

import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { createPredictor, type Predictor } from 'approxifer'
import { httpWorkers } from 'approxifer/http'
import { natsWorkers } from 'approxifer/nats'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { NatsServer, natsInstalled } from '../shared/nats-server'
import { LENET, Served } from '../shared/served-process'
import { until } from '../shared/waiting'

const STOPPED_MS = 40_000
/** After the deadline, or after the process goes on, a query ends within this time on a busy machine. */
const OVER_MS = 1500
/** From then on all is as it was. */
const BACK_MS = 1500

interface Query {
  kind: string
  at: number
  tookMs: number
  code: string
  message?: string
}

const ends: (() => unknown)[] = []
const spawned = (...args: string[]): ChildProcess => {
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  ends.push(() => child.kill('SIGKILL'))
  return child
}

/** Text that it prints. */
function heard(child: ChildProcess) {
  const said = { text: '' }
  child.stdout?.on('data', (more) => {
    said.text += more
  })
  return said
}

/** Asks a predictor until it is told to stop. */
function asking(predictor: Predictor, kind: string) {
  const queries: Query[] = []
  const open = new Set<Promise<unknown>>()
  const ask = async () => {
    const at = Date.now()
    const row = Float32Array.from({ length: 784 }, (_, j) => (((queries.length % 50) + 1) * (j % 28)) / 100)
    const end = (code: string, message?: string) => queries.push({ kind, at, tookMs: Date.now() - at, code, message })
    await predictor.predict(row).then(
      () => end('answered'),
      ({ code, message }) => end(code, message),
    )
  }
  const timer = setInterval(() => {
    const query = ask().finally(() => open.delete(query))
    open.add(query)
  }, 20)
  const stop = async () => {
    clearInterval(timer)
    await Promise.all(open)
    return queries
  }
  return { queries, stop }
}

describe('stopped for 40 s', () => {
  let report: {
    queries: Query[]
    warnings: string[]
    workers: { kind: string; worker: string; failed: number; gone: boolean }[]
  }
  let elsewhere: Query[]
  /** Answers of the stopped server and the stopped machine when they went on, and five seconds later. */
  let answers: { before: number; after: number }[] = []
  let wokeAt = 0
  /** Part of its name in the fleet. */
  let stoppedMachine: number | undefined

  beforeAll(async () => {
    const nats = natsInstalled ? await NatsServer.start() : undefined
    if (nats) ends.push(() => nats.stop())
    const served = [`digits=${LENET}`, '--workers', '1']
    const servers = await Promise.all([0, 1, 2].map(() => Served.start(served)))
    for (const server of servers) ends.push(() => server.stop('SIGKILL'))
    const urls = servers.map(({ url }) => url)
    const machines = nats ? [0, 1, 2].map(() => spawned('dist/cli.js', 'work', LENET, '--fleet', 'f', '--nats', nats.url, '--workers', '1')) : [] // biome-ignore format: one line
    const asker = spawned(
      'test/fixtures/stopped-asker.js',
      JSON.stringify({ servers: urls.slice(0, 2), nats: nats?.url }),
    )
    const said = heard(asker)
    await until(() => said.text.includes('asking'))
    const onWarning = () => {}
    const http = await createPredictor({
      workers: httpWorkers(urls.slice(1), { model: 'digits', onWarning }),
      deadlineMs: 2000,
      onWarning,
    })
    const fleet =
      nats &&
      (await createPredictor({
        workers: natsWorkers(nats.url, { fleet: 'f', onWarning }),
        deadlineMs: 2000,
        onWarning,
      }))
    const own = [http, ...(fleet ? [fleet] : [])]
    for (const predictor of own) ends.push(() => predictor.close())
    if (fleet) await until(() => fleet.stats().workers.length === 3)
    const askers = own.map((predictor, i) => asking(predictor, ['http', 'nats'][i]))
    await delay(3000)

    const names = [urls[2].replace('http://', ''), `-${machines[2]?.pid}-`]
    const answersOf = () =>
      own.map((predictor, i) => {
        const { onTime = 0 } = predictor.stats().workers.find(({ worker }) => worker.includes(names[i])) ?? {}
        return onTime
      })
    const stopped = [asker, servers[2].process, ...machines.slice(2)]
    stoppedMachine = machines[2]?.pid
    for (const child of stopped) child.kill('SIGSTOP')
    await delay(STOPPED_MS)
    wokeAt = Date.now()
    for (const child of stopped) child.kill('SIGCONT')
    const before = answersOf()
    await delay(5000)
    answers = answersOf().map((after, i) => ({ before: before[i], after }))
    elsewhere = (await Promise.all(askers.map(({ stop }) => stop()))).flat()
    said.text = ''
    asker.stdin?.write('\n')
    await until(() => said.text.endsWith('\n'))
    report = JSON.parse(said.text)
  })
  afterAll(async () => {
    for (const end of ends.reverse()) await end()
  })

  it('a process that asks: each query ends by its deadline, or at once after it goes on', () => {
    const late = report.queries.filter(
      ({ at, tookMs }) => at + tookMs > Math.max(at + 2000, at < wokeAt ? wokeAt : 0) + OVER_MS,
    )
    expect(late).toEqual([])
    expect(report.queries.filter(({ at }) => at < wokeAt).length).toBeGreaterThan(100)
  })

  it('then it is as it was: queries are answered, no worker failed or is gone', () => {
    const after = report.queries.filter(({ at }) => at > wokeAt + BACK_MS)
    expect(after.length).toBeGreaterThan(100)
    expect(after.filter(({ code }) => code !== 'answered')).toEqual([])
    const others = report.workers.filter(({ worker }) => !worker.includes(`-${stoppedMachine}-`))
    expect(others.filter(({ failed, gone }) => failed || gone)).toEqual([])
  })

  it('a server and a machine: who asks them is answered by others', () => {
    expect(elsewhere.filter(({ code }) => code !== 'answered')).toEqual([])
  })

  it('and after they went on they are asked again', () => {
    expect(answers.length).toBe(natsInstalled ? 2 : 1)
    for (const { before, after } of answers) expect(after).toBeGreaterThan(before + 10)
  })
})
