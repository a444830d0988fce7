/**
 * npm run bench -- serve-soak [requests]: requests of which each is another one through `approxifer serve` at 80 % of the rate that it
 * held, over five worker servers (bench/soak/oip-worker.js); each answer is compared with the model's. A round of trouble takes 32 seconds: a
 * worker is killed -9 every second; all are rolled to other weights, one by one; the gateway reads its configuration again, in which the model
 * has another version; all of its room is taken by ten times as many callers. Half-way it gets SIGTERM and is started anew. Prints
 * outcomes by the trouble they fell into, and the gateway's memory. 20,000 requests unless it says otherwise.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { table } from '../../src/cli/table'
import { freePort } from '../../test/shared/nats-server'
import { type Asked, ESTIMATED, question } from './questions'

export const WORKERS = 5
const CALLERS = 16
const OVERLOADED = 10 * CALLERS
/** Deadline of those who are too many: a third of what it takes until all have an answer. */
const IMPATIENT_MS = 100
const KILL_MS = 1000
/** What was begun before a trouble is over may still feel it. */
const AFTER_MS = 1500

type Trouble = 'kills alone' | 'roll' | 'reload' | 'overload' | 'restart'

class Soak {
  readonly outcomes: Record<string, Partial<Record<Trouble, number>>> = {}
  readonly memory: number[] = []
  readonly latencies: number[] = []
  trouble: Trouble = 'kills alone'
  asked = 0
  readonly #fleet: Fleet
  readonly #agent = new Agent({ keepAlive: true })

  constructor(fleet: Fleet) {
    this.#fleet = fleet
  }

  /** @param every  milliseconds between two requests of a caller; 0: at once @param deadlineMs  of each */
  async call(most: number, every: number, isOver = () => false, deadlineMs?: number): Promise<void> {
    for (let due = performance.now(); this.asked < most && !isOver(); due += every) {
      if (due > performance.now()) await sleep(due - performance.now())
      else due = performance.now() // who was held up does not catch up
      await this.#ask(this.asked++, deadlineMs)
    }
  }

  async #ask(i: number, deadlineMs?: number): Promise<void> {
    const { trouble } = this
    const models = this.#fleet.generations
    const since = performance.now()
    const asked = await question(this.#agent, this.#fleet.port, i, deadlineMs)
    if (trouble === 'kills alone' && this.trouble === trouble) this.latencies.push(performance.now() - since)
    const during = trouble === 'kills alone' ? this.trouble : trouble
    this.note(kindOf(asked, [...models, ...this.#fleet.generations]), during)
  }

  note(kind: string, trouble: Trouble): void {
    this.outcomes[kind] ??= {}
    this.outcomes[kind][trouble] = (this.outcomes[kind][trouble] ?? 0) + 1
  }

  async during(trouble: Trouble, work: () => Promise<unknown>): Promise<void> {
    this.trouble = trouble
    await work()
    await sleep(AFTER_MS)
    this.trouble = 'kills alone'
  }
}

/** An answer of a model that no worker had when it was asked, or of none, is wrong, whatever it says of itself. */
function kindOf({ status, says, generation }: Asked, generations: readonly number[]): string {
  if (status !== 200) return String(status)
  if (says.startsWith(ESTIMATED)) return `200 ${says}`
  if (generation === undefined) return `WRONG, ${says}`
  return generations.includes(generation) ? `200 ${says}` : `WRONG MODEL, ${says}`
}

class Fleet {
  /** Of the models that workers have now: two during a roll. */
  generations: readonly number[] = [0]
  gateway: ChildProcess
  readonly #workers: ChildProcess[]
  readonly #has: number[]
  readonly #config = join(mkdtempSync(join(tmpdir(), 'serve-soak-')), 'config.json')
  #version = 1

  constructor(
    readonly port: number,
    private readonly ports: readonly number[],
  ) {
    this.#workers = ports.map((each) => startWorker(each))
    this.#has = ports.map(() => 0)
    this.#configure()
    this.gateway = this.#start()
  }

  /** Ends it -9; it is started again with the weights that it had, or others. */
  kill(i: number, generation = this.#has[i]): void {
    this.#workers[i].kill('SIGKILL')
    this.#has[i] = generation
    this.generations = [...new Set([...this.generations, generation])]
    this.#workers[i] = startWorker(this.ports[i], generation)
  }

  async roll(): Promise<void> {
    const [generation] = this.generations
    for (let i = 0; i < WORKERS; i++) {
      this.kill(i, generation + 1)
      await sleep(KILL_MS)
    }
    await ready(this.port)
    await sleep(AFTER_MS)
    this.generations = [generation + 1]
  }

  async reload(): Promise<void> {
    this.#version++
    this.#configure()
    this.gateway.kill('SIGHUP')
    await sleep(3 * KILL_MS)
  }

  async restart(): Promise<void> {
    const ended = new Promise((resolve) => this.gateway.once('exit', resolve))
    this.gateway.kill('SIGTERM')
    await ended
    this.gateway = this.#start()
    await ready(this.port)
  }

  end(): void {
    for (const each of [...this.#workers, this.gateway]) each.kill('SIGKILL')
  }

  #configure(): void {
    const model = { ...modelOf(this.ports), version: String(this.#version) }
    writeFileSync(this.#config, JSON.stringify({ models: { m: model } }))
  }

  #start(): ChildProcess {
    return node(['dist/cli.js', 'serve', '--config', this.#config, '--port', String(this.port), '--log', 'warn'])
  }
}

export default async function serveSoak(json: boolean, [count = '20000']: string[]): Promise<void> {
  const most = Number(count)
  const fleet = new Fleet(await freePort(), await Promise.all(Array.from({ length: WORKERS }, freePort)))
  await ready(fleet.port)
  const held = await rate(fleet)
  const soak = new Soak(fleet)
  const isOver = () => soak.asked >= most
  const callers = Array.from({ length: CALLERS }, () => soak.call(most, (1000 * CALLERS) / (0.8 * held)))
  const troubles = trouble(soak, fleet, most, isOver)
  await Promise.all(callers)
  await troubles
  fleet.end()
  report(json, held, soak)
}

async function trouble(soak: Soak, fleet: Fleet, most: number, isOver: () => boolean): Promise<void> {
  let victim = 0
  const kills = async (rounds: number) => {
    for (let i = 0; i < rounds && !isOver(); i++) {
      fleet.kill(victim++ % WORKERS)
      soak.memory.push(residentMb(fleet.gateway))
      await sleep(KILL_MS)
    }
  }
  const overload = async () => {
    const end = performance.now() + 3 * KILL_MS
    const more = () => soak.call(most, 0, () => performance.now() > end, IMPATIENT_MS)
    await Promise.all([kills(3), ...Array.from({ length: OVERLOADED }, more)])
  }
  let wasRestarted = false
  while (!isOver()) {
    await kills(5)
    await soak.during('roll', () => fleet.roll())
    await kills(3)
    await soak.during('reload', () => Promise.all([fleet.reload(), kills(3)]))
    await soak.during('overload', overload)
    if (wasRestarted || soak.asked < most / 2) continue
    wasRestarted = true
    await soak.during('restart', () => fleet.restart())
  }
}

function report(json: boolean, held: number, { outcomes, memory, latencies }: Soak): void {
  const sorted = latencies.sort((a, b) => a - b)
  const [p50, p99, max] = [0.5, 0.99, 1].map((share) => sorted[Math.ceil(share * sorted.length) - 1])
  if (json) return console.log(JSON.stringify({ held, outcomes, memory, p50, p99, max }))
  const columns: Trouble[] = ['kills alone', 'roll', 'reload', 'overload', 'restart']
  const rows = table(['outcome', ...columns])
  for (const [kind, counts] of Object.entries(outcomes).sort()) {
    rows.push([kind, ...columns.map((column) => String(counts[column] ?? 0))])
  }
  console.log(`held ${held.toFixed(0)} requests a second; at 80 % of it, a worker killed every second\n${rows}`)
  console.log(
    `latency, kills alone: median ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, longest ${max.toFixed(0)} ms`,
  )
  const quarters = [0, 1, 2, 3].map((i) => memory.slice((i * memory.length) / 4, ((i + 1) * memory.length) / 4))
  const means = quarters.map((quarter) => quarter.reduce((sum, mb) => sum + mb, 0) / quarter.length)
  console.log(`the gateway's memory in MB, mean of each quarter: ${means.map((mb) => mb.toFixed(0)).join(', ')}`)
}

const node = (args: string[]) => spawn(process.execPath, args, { stdio: 'ignore' })
export const startWorker = (port: number, generation = 0) =>
  node(['bench/soak/oip-worker.js', String(port), String(generation)])

const modelOf = (ports: readonly number[]) => ({
  workers: ports.map((each) => `http://127.0.0.1:${each}`),
  scheme: { queries: WORKERS - 1, stragglers: 1 },
})

export function startGateway(port: number, ports: readonly number[]): ChildProcess {
  const { workers, scheme } = modelOf(ports)
  const coded = ['--queries', String(scheme.queries), '--stragglers', String(scheme.stragglers)]
  return node([...['dist/cli.js', 'serve', 'm', '--workers', workers.join(), ...coded], '--port', String(port), '--log', 'warn']) // biome-ignore format: one line
}

/** Requests a second, of as many callers. */
async function rate(fleet: Fleet): Promise<number> {
  const rehearsal = new Soak(fleet)
  const asked = async (ms: number) => {
    const [before, end] = [rehearsal.asked, performance.now() + ms]
    await Promise.all(Array.from({ length: CALLERS }, () => rehearsal.call(Number.POSITIVE_INFINITY, 0, () => performance.now() > end))) // biome-ignore format: one line
    return (rehearsal.asked - before) / (ms / 1000)
  }
  await asked(3000) // warms up
  return asked(5000)
}

export async function ready(port: number): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    const response = await fetch(`http://127.0.0.1:${port}/v2/health/ready`).catch(() => undefined)
    if (response?.ok) return
    await sleep(100)
  }
  throw new Error('not ready within a minute')
}

function residentMb({ pid }: ChildProcess): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
  } catch {
    return 0 // it is between two lives
  }
}
