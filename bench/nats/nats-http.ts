/** For bench nats: the same workers over NATS and over HTTP, in turns. */

import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { createPredictor } from 'approxifer'
import { httpWorkers } from 'approxifer/http'
import { natsWorkers } from 'approxifer/nats'
import { NatsServer } from '../../test/shared/nats-server'
import { median } from '../shared/measure'
import { type Figures, Load } from './nats-fleet'

/** Medians over the rounds. */
export type Way = Pick<Figures, 'p50' | 'p99'> & { failed: number }

const FLEET = 'both'
const ROUNDS = 5
const ROUND_MS = 4000

interface Plan {
  machines: number
  workersEach: number
  scheme: { queries: number; stragglers: number }
  perSecond: number
  inputs: readonly Float32Array[]
  answers: readonly Float32Array[]
}

export async function bothWays({
  machines,
  workersEach,
  scheme,
  perSecond,
  inputs,
  answers,
}: Plan): Promise<{ nats: Way; http: Way }> {
  const server = await NatsServer.start()
  const children: ChildProcess[] = []
  const start = async () => {
    const args = [
      '--import',
      'tsx',
      '--conditions',
      'node',
      'bench/nats/both-ways.ts',
      server.url,
      FLEET,
      `${workersEach}`,
    ]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    children.push(child)
    return new Promise<string[]>((resolve, reject) => {
      child.stdout.once('data', (line) => resolve(JSON.parse(String(line)).urls))
      child.once('exit', (code) => reject(new Error(`a worker's process ended with ${code}`)))
    })
  }
  try {
    const urls = (await Promise.all(Array.from({ length: machines }, start))).flat()
    const options = { scheme, onWarning: () => {} }
    const predictors = {
      nats: await createPredictor({ ...options, workers: natsWorkers(server.url, { fleet: FLEET }) }),
      http: await createPredictor({ ...options, workers: httpWorkers(urls, { model: 'm' }) }),
    }
    await sleep(1000) // for those that join last
    const seen: Record<keyof typeof predictors, Figures[]> = { nats: [], http: [] }
    for (let round = 0; round <= ROUNDS; round++) {
      for (const way of ['nats', 'http'] as const) {
        const load = new Load(predictors[way], inputs, answers, perSecond)
        const from = performance.now()
        load.start()
        await sleep(ROUND_MS)
        const to = performance.now()
        await load.stop()
        if (round) seen[way].push(load.figures(from, to)) // the first tells what is late
      }
    }
    await Promise.all(Object.values(predictors).map((predictor) => predictor.close()))
    const way = (figures: Figures[]): Way => ({
      p50: median(figures.map(({ p50 }) => p50)),
      p99: median(figures.map(({ p99 }) => p99)),
      failed: figures.reduce((sum, { failed }) => sum + Object.values(failed).reduce((a, b) => a + b, 0), 0),
    })
    return { nats: way(seen.nats), http: way(seen.http) }
  } finally {
    for (const child of children) child.removeAllListeners('exit').kill('SIGKILL')
    await server.stop()
  }
}
