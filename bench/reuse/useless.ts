/**
 * npm run bench -- useless [WORDS ..] [--json]: answers before asking where they save nothing, in simulated time, beside the same pool without: images whose
 * label is the parity of their bright pixels, or a hash of their bytes; digits on two workers of half a millisecond; CIFAR. 20,000 queries from nothing at a
 * load of .6, 27 workers of 10 ms where nothing else is said, what lookups and learning take charged. After how many queries nothing is looked up any
 * more but now and then; p50 and p99; the process's time a query from the 1,000th on: of the simulation, which both have alike, and of the memory's simulated thread, which is no time of the loop. Three
 * rounds in turns, medians. Needs `npm run data`.
 */

import { cpuUsage } from 'node:process'
import { createPredictor } from 'approxifer'
import { seeded } from '../../src/base/random'
import { table } from '../../src/cli/table'
import type { ThreadCosts } from '../../src/testing/simulated-thread'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { median } from '../shared/measure'
import { measureCosts } from '../shared/memory-costs'
import { queriesOf } from '../shared/moved-images'
import { randomTrouble, SimulatedWorker } from '../shared/simulated'

const WORKERS = 27
const MEAN_MS = 11.8
const LOAD = 0.6
const QUERIES = 20_000
/** From here on the processor's time is counted. */
const FIRST = 1000
const ROUNDS = 3

/** One of ten labels, as an answer. */
const labelled = (label: number) => Float32Array.from({ length: 10 }, (_, i) => Number(i === label))
const parity = (image: Float32Array) => labelled(image.reduce((sum, value) => sum + Number(value > 0.5), 0) % 2)
const hash = (image: Float32Array) =>
  labelled(new Uint32Array(image.buffer, image.byteOffset, image.length).reduce((sum, bits) => (Math.imul(sum, 31) + bits) >>> 0, 7) % 10) // biome-ignore format: one line

// As it is built, which is what users run: tsx, which runs this, gives each function its name when it is made, in 4 to 8 us a query.
const built = new URL('../../dist/node/testing/simulated-thread.js', import.meta.url).href
const { SimulatedThread } = (await import(built)) as typeof import('../../src/testing/simulated-thread')

interface Stream {
  model: 'mnist-lenet' | 'cifar-resnet8'
  answer?: (image: Float32Array) => Float32Array
  workers?: number
  /** Times as fast as the others. */
  quicker?: number
}

const streams: Record<string, Stream> = {
  'parity of pixels': { model: 'mnist-lenet', answer: parity },
  'a hash of the bytes': { model: 'mnist-lenet', answer: hash },
  'digits, half a millisecond': { model: 'mnist-lenet', workers: 2, quicker: 20 },
  CIFAR: { model: 'cifar-resnet8' },
}

interface Run {
  /** Queries until looks were off for the first time; and the share of the second half that were answered unasked. */
  off: number | undefined
  unasked: number
  p50: number
  p99: number
  /** Processor time a query, µs. */
  took: number
}

type World = Awaited<ReturnType<typeof queriesOf>>

async function run(
  world: World,
  stream: Stream,
  charges: ThreadCosts,
  maxError: number | undefined,
  seed: number,
): Promise<Run> {
  const { inputs, answers, signature } = world
  const { workers: count = WORKERS, quicker = 1 } = stream
  const keyOf = ({ buffer, byteOffset, byteLength }: Float32Array) => Buffer.from(buffer, byteOffset, byteLength).toString('latin1') // biome-ignore format: one line
  const known = new Map(inputs.map((row, i) => [keyOf(row), i]))
  const answer = stream.answer ?? ((row: Float32Array) => answers[known.get(keyOf(row)) as number].slice())
  const clock = new VirtualClock()
  const [arriving, serving, tossing] = [1, 2, 3].map((part) => seeded(10 * seed + part))
  const slow = randomTrouble(serving)
  const law = (index: number, now: number) => slow(index, now) / quicker
  const workers = Array.from(
    { length: count },
    (_, i) => new SimulatedWorker(i, { clock, serviceMs: law, answer, signature }),
  )
  const reuse = maxError === undefined ? {} : { reuse: { maxError } }
  const predictor = await createPredictor({ workers, ...reuse, limits: { queries: 1e5 }, onWarning() {}, testing: { clock, coin: tossing.next, memoryThread: new SimulatedThread(clock, charges).spawn } }) // biome-ignore format: one line
  const order = arriving.choose(inputs.length, QUERIES)
  const times: number[] = []
  let [next, due, half] = [0, 0, 0]
  let off: number | undefined
  let before = cpuUsage()
  const arrive = () => {
    const since = due
    predictor.predict(inputs[order[next++]]).then(() => times.push(clock.now() - since))
    if (next === FIRST) before = cpuUsage()
    if (next === QUERIES / 2) half = predictor.stats().remembered
    if (off === undefined && next % 64 === 0 && predictor.stats().saving?.off) off = next
    if (next === QUERIES) return
    due += (-Math.log(1 - arriving.next()) * MEAN_MS) / (LOAD * count * quicker)
    clock.after(due - clock.now(), arrive)
  }
  clock.after(0, arrive)
  await clock.run()
  const { user, system } = cpuUsage(before)
  const unasked = (predictor.stats().remembered - half) / (QUERIES / 2)
  await predictor.close()
  times.sort((a, b) => a - b)
  const quantile = (q: number) => times[Math.floor(q * (times.length - 1))]
  return { off, unasked, p50: quantile(0.5), p99: quantile(0.99), took: (user + system) / (QUERIES - FIRST) }
}

export default async function useless(json: boolean, words: string[]): Promise<void> {
  const all: object[] = []
  const out = table(['', 'off after', 'unasked', 'p50: without', 'with', 'p99: without', 'with', 'ratio', 'processor, us: without', 'with']) // biome-ignore format: one line
  for (const [name, stream] of Object.entries(streams)) {
    if (words.length && !words.some((word) => name.includes(word))) continue
    const charges = await measureCosts(stream.model)
    const world = await queriesOf(stream.model)
    const [without, having]: [Run[], Run[]] = [[], []]
    for (let seed = 0; seed < ROUNDS; seed++) {
      without.push(await run(world, stream, charges, undefined, seed))
      having.push(await run(world, stream, charges, 0.01, seed))
    }
    all.push({ name, charges, without, having })
    const of = (runs: Run[], what: 'p50' | 'p99' | 'took' | 'unasked') => median(runs.map((each) => each[what]))
    const ratio = median(having.map(({ p99 }, i) => p99 / without[i].p99))
    const offs = having.map(({ off }) => off ?? Number.POSITIVE_INFINITY)
    const times = (['p50', 'p99'] as const).flatMap((what) => [
      of(without, what).toFixed(1),
      of(having, what).toFixed(1),
    ])
    out.push([name, String(median(offs)), `${(100 * of(having, 'unasked')).toFixed(1)} %`, ...times, ratio.toFixed(2), of(without, 'took').toFixed(0), of(having, 'took').toFixed(0)]) // biome-ignore format: one line
  }
  console.log(json ? JSON.stringify(all, null, 2) : `${out}`)
}
