/**
 * npm run bench -- tokens [--json]: queries a second of a text classifier (three layers, width 128) on two threads, 64 callers at a time, texts of 4
 * to 48 tokens. Ours with `limits.pad` and without, beside what one writes by hand with piscina: one text after the other; and sorted by
 * length, 16 in a run, padded to the longest: of each 64 that wait, and of all that will ever come, which no server knows. Answers are compared
 * first. All take turns in one run; medians, and medians of each round's ratios.
 */

import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { createPredictor, type Query } from 'approxifer'
import { Piscina } from 'piscina'
import { seeded } from '../../src/base/random'
import { table } from '../../src/cli/table'
import { median } from '../shared/measure'

const ROUNDS = 11
const THREADS = 2
const CALLERS = 64
const TEXTS = 960
const BATCH = 16
const [SHORTEST, LONGEST] = [4, 48]
const PIECES = 6378
const LABELS = 24

type Text = BigInt64Array
/** Answers all; in their order. */
type Way = (texts: readonly Text[]) => Promise<Float32Array[]>

function someTexts(): Text[] {
  const random = seeded(1)
  return Array.from({ length: TEXTS }, () => {
    const length = SHORTEST + random.below(LONGEST - SHORTEST + 1)
    return BigInt64Array.from({ length }, () => BigInt(5 + random.below(PIECES - 5)))
  })
}

const ones = (length: number) => new BigInt64Array(length).fill(1n)

/** So many callers, each with its next text as soon as it has an answer. */
function byCallers(ask: (text: Text) => Promise<Float32Array>): Way {
  return async (texts) => {
    const answers: Float32Array[] = []
    let next = 0
    const caller = async () => {
      while (next < texts.length) {
        const i = next++
        answers[i] = await ask(texts[i])
      }
    }
    await Promise.all(Array.from({ length: CALLERS }, caller))
    return answers
  }
}

async function together(pool: Piscina, texts: readonly Text[]): Promise<Float32Array[]> {
  const longest = Math.max(...texts.map(({ length }) => length))
  const [ids, mask] = [new BigInt64Array(texts.length * longest), new BigInt64Array(texts.length * longest)]
  texts.forEach((text, i) => {
    ids.set(text, i * longest)
    mask.fill(1n, i * longest, i * longest + text.length)
  })
  const logits: Float32Array = await pool.run({ ids, mask, shape: [texts.length, longest] })
  return texts.map((_, i) => logits.subarray(i * LABELS, (i + 1) * LABELS))
}

/** Of so many at a time. */
function sorted(pool: Piscina, window: number): Way {
  return async (texts) => {
    const answers: Float32Array[] = []
    for (let from = 0; from < texts.length; from += window) {
      const order = Array.from(texts.slice(from, from + window), (_, i) => from + i)
      order.sort((a, b) => texts[a].length - texts[b].length)
      const runs = Array.from({ length: Math.ceil(order.length / BATCH) }, (_, i) =>
        order.slice(i * BATCH, (i + 1) * BATCH),
      )
      const run = async (part: number[]) => {
        const given = await together(pool, part.map((i) => texts[i])) // biome-ignore format: one line
        part.forEach((i, k) => {
          answers[i] = given[k]
        })
      }
      await Promise.all(runs.map(run))
    }
    return answers
  }
}

async function ours(model: Uint8Array, pad: boolean) {
  const predictor = await createPredictor({ model, workers: THREADS, limits: { pad }, onWarning: () => {} })
  const way = byCallers(async (text) => {
    const query = { input_ids: text, attention_mask: ones(text.length) }
    return (await predictor.predict(query as unknown as Query)).output.logits.data
  })
  return { way, close: () => predictor.close() }
}

function mostDifference(a: readonly Float32Array[], b: readonly Float32Array[]): number {
  return Math.max(...a.map((own, i) => Math.max(...own.map((x, k) => Math.abs(x - b[i][k])))))
}

export default async function tokens(json: boolean): Promise<void> {
  const model = new Uint8Array(await readFile('test/models/text/sections.onnx'))
  const pool = new Piscina({
    filename: fileURLToPath(new URL('./tokens-worker.js', import.meta.url)),
    minThreads: THREADS,
    maxThreads: THREADS,
    workerData: { model },
  })
  const [plain, padded] = [await ours(model, false), await ours(model, true)]
  const alone = (text: Text) => pool.run({ ids: text, mask: ones(text.length), shape: [1, text.length] })
  const ways: Record<string, Way> = {
    'one by one': byCallers(alone),
    ours: plain.way,
    'ours, pad': padded.way,
    'sorted, 64': sorted(pool, CALLERS),
    'sorted, all': sorted(pool, TEXTS),
  }
  const texts = someTexts()
  const perSecond: Record<string, number[]> = {}
  const right = await ways['one by one'](texts)
  for (let round = 0; round <= ROUNDS; round++) {
    const names = Object.keys(ways)
    for (const name of round % 2 ? names : names.reverse()) {
      const start = performance.now()
      const answers = await ways[name](texts)
      const rate = (1000 * TEXTS) / (performance.now() - start)
      if (round)
        perSecond[name] = [...(perSecond[name] ?? []), rate] // the first warms up
      else if (mostDifference(answers, right) > 1e-4) throw new Error(`${name}: other answers`)
    }
  }
  await Promise.all([pool.destroy(), plain.close(), padded.close()])
  const ratio = (a: string, b: string) => median(perSecond[a].map((rate, i) => rate / perSecond[b][i]))
  const ratios = {
    'without pad, of one by one': ratio('ours', 'one by one'),
    'pad, of 64 sorted': ratio('ours, pad', 'sorted, 64'),
    'pad, of all sorted': ratio('ours, pad', 'sorted, all'),
    'pad, of without': ratio('ours, pad', 'ours'),
  }
  const medians = Object.fromEntries(Object.entries(perSecond).map(([name, rates]) => [name, median(rates)]))
  if (json) return console.log(JSON.stringify({ medians, ratios }, null, 2))
  const out = table(['texts a second', ...Object.keys(medians)])
  out.push(['', ...Object.values(medians).map((rate) => rate.toFixed(0))])
  console.log(out.toString())
  for (const [name, value] of Object.entries(ratios)) console.log(`${name}: ${value.toFixed(2)}x`)
}
