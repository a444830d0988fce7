/**
 * npm run soak [-- QUERIES]: a predictor on real threads with everything going wrong at once, for 20,000
 * queries. Exits with 1 unless every promise settles, 99.5 % are answered, the rest say why, and resident
 * memory after the first 2,000 queries grows by less than 5 %. The npm script sets MALLOC_ARENA_MAX=2: with glibc's
 * default every restarted thread may leave part of another arena behind (60,000 queries: 10 % instead of 5 %).
 */

import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { ApproxiferError, createPredictor, FaultyWorker, localWorkers } from 'approxifer'
import { parse } from 'npyjs'
import { seeded } from '../src/random'

const QUERIES = Number(process.argv[2] ?? 20_000)
const SETTLED_AT = Math.min(2000, QUERIES / 10)
const IN_FLIGHT = 64
const scheme = { queries: 4, stragglers: 2, byzantine: 1 }
const file = (name: string) => new Uint8Array(readFileSync(`models/${name}`)).buffer
const pixels = parse(file('mnist-digits.npy')).data as unknown as Uint8Array
const labels = parse(file('mnist-labels.npy')).data as unknown as Uint8Array
const images = Array.from(labels, (_, i) => Float32Array.from(pixels.subarray(i * 784, (i + 1) * 784), (v) => v / 255))

const local = await localWorkers({ model: 'models/mnist-lenet.onnx', count: 14 })
const workers = local.map((worker, i) => new FaultyWorker(worker, { hang: 0.0005 }, i))
Object.assign(workers[2].faults, { delayMs: [0, 40] })
Object.assign(workers[6].faults, { delayMs: [5, 80], garbage: 0.01 })
Object.assign(workers[9].faults, { lie: 1, attack: 'gauss:10' })
const predictor = await createPredictor({ scheme, workers, deadlineMs: 5000, hangMs: 500, maxQueries: 2 * IN_FLIGHT })

const random = seeded(7)
let crashes = 0
const crashing = setInterval(() => {
  workers[random.below(workers.length)].restart('crashed')
  crashes++
}, 1000)

const outcomes: Record<string, number> = { answered: 0 }
let [right, asked] = [0, 0]
const rss: { at: number; mb: number }[] = []
const start = performance.now()

async function client(): Promise<void> {
  while (asked < QUERIES) {
    const i = asked++ % images.length
    if (asked % 100 === 0) rss.push({ at: asked, mb: process.memoryUsage.rss() / 2 ** 20 })
    if (asked % 2000 === 0) {
      console.log(`${asked} asked, ${crashes} crashes, ${Math.round(rss.at(-1)?.mb ?? 0)} MB`)
    }
    try {
      const { output } = await predictor.predict(images[i])
      const { data } = output.logits
      outcomes.answered++
      right += Number(data.indexOf(Math.max(...data)) === labels[i])
    } catch (error) {
      const code = error instanceof ApproxiferError ? error.code : `unexpected: ${error}`
      outcomes[code] = (outcomes[code] ?? 0) + 1
      if (code === 'OVERLOADED') await sleep(1)
    }
  }
}

await Promise.all(Array.from({ length: IN_FLIGHT }, client))
clearInterval(crashing)
const seconds = (performance.now() - start) / 1000
const stats = predictor.stats()
await predictor.close()

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]
const span = QUERIES / 10
const before = median(rss.filter(({ at }) => at > SETTLED_AT && at <= SETTLED_AT + span).map(({ mb }) => mb))
const after = median(rss.filter(({ at }) => at > QUERIES - span).map(({ mb }) => mb))
const settled = Object.values(outcomes).reduce((sum, count) => sum + count, 0)
const clear = Object.keys(outcomes).every((code) => !code.startsWith('unexpected'))
const checks = {
  [`every promise settled: ${settled} of ${QUERIES}`]: settled === QUERIES,
  [`answered: ${((100 * outcomes.answered) / QUERIES).toFixed(2)} %, at least 99.5 %`]:
    outcomes.answered >= 0.995 * QUERIES,
  [`the rest with a clear code: ${JSON.stringify(outcomes)}`]: clear,
  [`memory: ${before.toFixed(0)} -> ${after.toFixed(0)} MB, ${(100 * (after / before - 1)).toFixed(1)} %, under 5 %`]:
    after < 1.05 * before,
}
console.table(stats.workers)
console.log(`${seconds.toFixed(0)} s, ${crashes} crashes, accuracy ${(right / outcomes.answered).toFixed(3)}`)
for (const [text, holds] of Object.entries(checks)) console.log(`${holds ? 'ok  ' : 'FAIL'} ${text}`)
process.exitCode = Object.values(checks).every(Boolean) ? 0 : 1
