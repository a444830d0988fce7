/**
 * npm run bench -- nats: 27 workers in 9 processes behind a real NATS server, and what may become of them under load: the server
 * restarted, a third killed, half drained, a third cut off; before that, the same workers over NATS and over HTTP. As root on Linux each process has a network namespace of its own, and its
 * cable is pulled; else it is stopped in its tracks.
 */

import { spawn } from 'node:child_process'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { createPredictor } from 'approxifer'
import { natsWorkers } from 'approxifer/nats'
import { loadInputs } from '../../src/cli/npy'
import { table } from '../../src/cli/table'
import { answersOf } from '../../src/evaluate/model'
import { OnnxModel } from '../../src/workers/onnx/model'
import { fingerprintOf, readModel } from '../../src/workers/onnx/model-file'
import { NatsServer } from '../../test/shared/nats-server'
import { type Figures, Load, Machine, Network } from './nats-fleet'
import { bothWays } from './nats-http'

const everything = ['calm', 'restart', 'calm', 'kill', 'join', 'drain', 'join', 'cut', 'heal'] as const
type Event = (typeof everything)[number]

export interface Trial {
  machines: number
  workersEach: number
  scheme: { queries: number; stragglers: number }
  perSecond: number
  /** Of each phase. */
  phaseMs: number
  /** What becomes of it, in this order. */
  events: readonly Event[]
  /** Whether to use network namespaces where this process may. */
  namespaces: boolean
}

export interface Phase extends Figures {
  phase: string
}

const FLEET = 'bench'

export async function trial(options: Trial): Promise<{ partition: string; phases: Phase[] }> {
  const { machines: count, workersEach, perSecond, phaseMs, events } = options
  const network = options.namespaces ? openNetwork() : undefined
  const server = await NatsServer.start('', network?.host)
  const start = (within: readonly string[] = []) => Machine.start(server.url, FLEET, workersEach, within)
  const places = network && Array.from({ length: count }, () => network.add())
  const machines: Machine[] = []
  const all: Machine[] = []
  const join = async (at: number) => {
    const machine = await start(places?.[at])
    machines[at] = machine
    all.push(machine)
  }
  try {
    await Promise.all(Array.from({ length: count }, (_, at) => join(at)))
    const { model, inputs, answers } = await digits()
    const workers = natsWorkers(server.url, { fleet: FLEET, fingerprint: fingerprintOf(model) })
    const predictor = await createPredictor({ scheme: options.scheme, workers, onWarning: () => {} })
    await sleep(1000) // for those that join last
    const load = new Load(predictor, inputs, answers, perSecond)
    load.start()
    await sleep(phaseMs) // its first answers tell what is late
    const [third, half] = [Math.ceil(count / 3), Math.ceil(count / 2)]
    const each = (n: number, f: (at: number) => unknown) => Promise.all(Array.from({ length: n }, (_, at) => f(at)))
    const cut = (on: boolean) => each(third, (at) => (network ? network.cut(at, on) : machines[at].freeze(on)))
    const missing = new Set<number>()
    const leaves = (at: number) => {
      missing.add(at)
      return machines[at]
    }
    const happens: Record<Event, [string, () => Promise<unknown>]> = {
      calm: ['calm', async () => {}],
      restart: ['server down for a second', () => restart(server)],
      kill: [`${third} of ${count} machines killed`, () => each(third, (at) => leaves(at).kill())],
      drain: [`${half} of ${count} machines drained`, () => each(half, (at) => leaves(at).drain())],
      join: ['as many join', () => joinAll(missing, join)],
      cut: [`${third} of ${count} machines cut off`, () => cut(true)],
      heal: ['and back', () => cut(false)],
    }
    const times: { phase: string; from: number; to: number }[] = []
    for (const event of events) {
      const [phase, act] = happens[event]
      const from = performance.now()
      await Promise.all([act(), sleep(phaseMs)])
      times.push({ phase, from, to: performance.now() })
    }
    await load.stop()
    await predictor.close()
    const phases = times.map(({ phase, from, to }) => ({ phase, ...load.figures(from, to) }))
    return { partition: network ? 'network namespaces, cables pulled' : 'processes stopped (SIGSTOP)', phases }
  } finally {
    await Promise.all(all.map((machine) => machine.kill()))
    await server.stop()
    network?.close()
  }
}

async function digits() {
  const model = await readModel('models/mnist-lenet.onnx')
  const inputs = (await loadInputs('models/mnist-digits.npy')).slice(0, 400)
  return { model, inputs, answers: await answersOf(await OnnxModel.load(model), inputs) }
}

async function restart(server: NatsServer): Promise<void> {
  await server.down()
  await sleep(1000)
  await server.up()
}

/** One after the other: a start keeps a core busy. */
async function joinAll(missing: Set<number>, join: (at: number) => Promise<void>): Promise<void> {
  for (const at of missing) await join(at)
  missing.clear()
}

function openNetwork(): Network | undefined {
  try {
    return new Network()
  } catch {
    return undefined
  }
}

const LISTEN_MS = 5000

/** Milliseconds of the coordinator's processor, a second, for the heartbeats of so many workers: two a second each. */
export async function heartbeatCost(count: number): Promise<number> {
  const server = await NatsServer.start()
  const args = ['--import', 'tsx', '--conditions', 'node', 'bench/nats/many-workers.ts', server.url, FLEET, `${count}`]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const changes = natsWorkers(server.url, { fleet: FLEET })
  try {
    await new Promise((resolve) => child.stdout.once('data', resolve))
    for (let joined = 0; joined < count; joined++) await changes.next()
    await sleep(1000) // what was compiled for the first of them
    const before = process.cpuUsage()
    await sleep(LISTEN_MS)
    const { user, system } = process.cpuUsage(before)
    return (user + system) / LISTEN_MS
  } finally {
    await changes.return?.()
    child.kill('SIGKILL')
    await server.stop()
  }
}

const ms = (value: number) => (Number.isNaN(value) ? '' : `${value.toFixed(value < 100 ? 1 : 0)} ms`)

export default async function natsBench(json: boolean): Promise<void> {
  const fleet = { machines: 9, workersEach: 3, scheme: { queries: 8, stragglers: 1 }, perSecond: 100 }
  const { inputs, answers } = await digits()
  const ways = await bothWays({ ...fleet, inputs, answers })
  const heartbeats = await heartbeatCost(1000)
  const result = await trial({ ...fleet, phaseMs: 8000, namespaces: true, events: everything })
  if (json) return console.log(JSON.stringify({ ...fleet, ways, heartbeats, ...result }, null, 2))
  const sides = table(['27 workers in 9 processes', 'p50', 'p99', 'failed'])
  for (const [way, { p50, p99, failed }] of Object.entries(ways)) sides.push([way, ms(p50), ms(p99), failed])
  console.log(`${sides}\nthe same workers either way, in turns; medians of the rounds`)
  console.log(`heartbeats of 1,000 workers: ${ms(heartbeats)} of the coordinator's processor a second\n`)
  const rows = table(['27 workers in 9 processes', 'queries', 'p50', 'p99', 'longest', 'failed', 'failing for', 'open'])
  for (const { phase, queries, p50, p99, most, failed, failingMs, unsettled } of result.phases) {
    const counts = Object.entries(failed).map(([code, count]) => `${count} ${code}`)
    const failures = [counts.join(', ') || 'none', counts.length ? ms(failingMs) : '']
    rows.push([phase, queries, ms(p50), ms(p99), ms(most), ...failures, unsettled])
  }
  const { partition, phases } = result
  console.log(
    `${rows}\ncut off by: ${partition}; answers called exact that were not the model's own: ${phases.at(-1)?.wrong}`,
  )
}
