/**
 * npm run bench -- serve-soak [requests]: requests through `approxifer serve` at 80 % of the highest rate it held, over five worker
 * servers (bench/oip-worker.js) of which one is killed -9 every second and started again; half-way the gateway gets SIGTERM and is started
 * anew. Prints answers and errors by kind, outside the restart and during it, and the gateway's memory. 20,000 requests unless it says
 * otherwise.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import autocannon from 'autocannon'
import { table } from '../src/cli/table'
import { freePort } from './serve'

export const WORKERS = 5
const query = JSON.stringify({
  inputs: [
    {
      name: 'input',
      datatype: 'FP32',
      shape: [1, 1, 28, 28],
      data: Array.from({ length: 784 }, (_, i) => (i % 9) / 9),
    },
  ],
})

export async function serveSoak(json: boolean, [count = '20000']: string[]): Promise<void> {
  const ports = await Promise.all(Array.from({ length: WORKERS }, freePort))
  const workers = ports.map(startWorker)
  await Promise.all(ports.map(ready))
  const port = await freePort()
  let gateway = startGateway(port, ports)
  await ready(port)
  const held = await rate(port)
  const kinds: Record<string, { steady: number; restart: number }> = {}
  const memory: number[] = []
  let restarting = false
  const note = (kind: string) => {
    kinds[kind] ??= { steady: 0, restart: 0 }
    kinds[kind][restarting ? 'restart' : 'steady']++
  }
  const amount = Number(count)
  const run = autocannon({ ...target(port), connections: 16, amount, overallRate: Math.ceil(0.8 * held), timeout: 20 })
  let seen = 0
  let restarted: Promise<void> | undefined
  const restart = async () => {
    restarting = true
    gateway.kill('SIGTERM')
    await new Promise((resolve) => gateway.once('exit', resolve))
    gateway = startGateway(port, ports)
    await ready(port)
    restarting = false
  }
  const one = (kind: string) => {
    note(kind)
    if (++seen >= amount / 2) restarted ??= restart()
  }
  run.on('response', (_client, status: number) => one(String(status)))
  run.on('reqError', (error: { code?: string; message: string }) => one(error.code ?? error.message))
  let victim = 0
  const killing = setInterval(() => {
    workers[victim].kill('SIGKILL')
    workers[victim] = startWorker(ports[victim])
    victim = (victim + 1) % WORKERS
    memory.push(residentMb(gateway))
  }, 1000)
  const result = await run
  clearInterval(killing)
  await restarted
  for (const each of [...workers, gateway]) each.kill('SIGKILL')
  const { p50, p99, max } = result.latency
  if (json) return console.log(JSON.stringify({ held, kinds, memory, p50, p99, max }))
  const rows = table(['outcome', 'outside the restart', 'during it'])
  for (const [kind, { steady, restart }] of Object.entries(kinds)) rows.push([kind, String(steady), String(restart)])
  console.log(`held ${held.toFixed(0)} requests a second; at 80 % of it, a worker killed every second\n${rows}`)
  console.log(`latency: median ${p50} ms, p99 ${p99} ms, longest ${max} ms`)
  console.log(`the gateway's memory in MB, second by second: ${memory.map((mb) => mb.toFixed(0)).join(' ')}`)
}

const node = (args: string[]) => spawn(process.execPath, args, { stdio: 'ignore' })
export const startWorker = (port: number) => node(['bench/oip-worker.js', String(port)])

export function startGateway(port: number, ports: readonly number[]): ChildProcess {
  const urls = ports.map((each) => `http://127.0.0.1:${each}`).join()
  const scheme = ['--queries', String(WORKERS - 1), '--stragglers', '1']
  return node(['dist/cli.js', 'serve', 'm', '--workers', urls, ...scheme, '--port', String(port), '--log', 'warn'])
}

const target = (port: number) => ({
  url: `http://127.0.0.1:${port}/v2/models/m/infer`,
  method: 'POST',
  body: query,
  headers: { 'content-type': 'application/json' },
})

async function rate(port: number): Promise<number> {
  await autocannon({ ...target(port), connections: 16, duration: 3 }) // warms up
  return (await autocannon({ ...target(port), connections: 16, duration: 5 })).requests.average
}

export async function ready(port: number): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    const response = await fetch(`http://127.0.0.1:${port}/v2/health/ready`).catch(() => undefined)
    if (response?.ok) return
    await new Promise((resolve) => setTimeout(resolve, 100))
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
