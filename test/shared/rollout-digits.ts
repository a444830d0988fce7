/** A model that is replaced by another of the same inputs and outputs while callers ask: digits by the LeNet of MNIST, then by that of Fashion. */

import { readFileSync } from 'node:fs'
import type { ModelWorker, Prediction, Predictor } from 'approxifer'
import { checksum } from '../../src/base/checksum'
import { answersOf } from '../../src/evaluate/model'
import { OnnxModel } from '../../src/workers/onnx/model'
import type { Model } from './oip-quirks'
import { digit } from './served-process'
import { inferring } from './vectors'

export const FILES = { old: 'models/mnist-lenet.onnx', new: 'models/fashion-lenet.onnx' }
export type Which = keyof typeof FILES

const MOST_ROUNDS = 10

export const queries = Array.from({ length: 200 }, (_, i) => digit(i))
const loaded = { old: await load('old'), new: await load('new') }
export const answers = { old: await answersOf(loaded.old, queries), new: await answersOf(loaded.new, queries) }

export const fingerprints = { old: checksum(readFileSync(FILES.old)), new: checksum(readFileSync(FILES.new)) }

function load(which: Which): Promise<OnnxModel> {
  return OnnxModel.load(new Uint8Array(readFileSync(FILES[which])))
}

/** It runs one call at a time. */
let last: Promise<unknown> = Promise.resolve()

/** The model for a server in this process. */
export function served(which: Which): Model {
  const logits = { name: 'logits', datatype: 'FP32' as const, shape: [10] }
  const run = async ([rows]: Float32Array[], count: number) => {
    const turn = last.then(() => loaded[which].infer(rows, count))
    last = turn.catch(() => {})
    return [{ ...logits, values: [...(await turn)] }]
  }
  return { name: 'digits', inputs: [{ name: 'input', shape: [1, 28, 28] }], outputs: [logits], run }
}

/** The model as a worker of this process. */
export function worker(which: Which): ModelWorker {
  const { run } = served(which)
  return {
    name: which,
    signature: loaded[which].signature,
    fingerprint: fingerprints[which],
    free: true,
    onFree: undefined,
    infer: inferring(async (row) => Float32Array.from((await run([row.slice()], 1))[0].values)),
    close: async () => {},
  }
}

/** Whose answer it is: of the two models the nearer one; 'neither' where it should be exact, and is no model's. */
export function whose({ output, status }: Prediction, query: number): Which | 'neither' {
  const distance = (which: Which) =>
    Math.hypot(...answers[which][query].map((value, i) => value - output.logits.data[i]))
  const nearer = distance('new') < distance('old') ? 'new' : 'old'
  return status === 'recovered' || distance(nearer) < 1e-2 ? nearer : 'neither'
}

/** Callers that ask one query after the other until they are told to stop. */
export class Callers {
  readonly counts = { old: 0, new: 0, neither: 0, failed: 0 }
  recovered = 0
  /** Answers of the old model after one of the new. */
  relapses = 0
  readonly errors = new Map<string, number>()
  readonly #done: Promise<unknown>
  #stopped = false
  #asked = 0

  constructor(
    readonly predictor: Predictor,
    readonly lanes: number,
  ) {
    this.#done = Promise.all(Array.from({ length: lanes }, () => this.#ask()))
  }

  async #ask(): Promise<void> {
    while (!this.#stopped) {
      const query = this.#asked++ % queries.length
      const given = await this.predictor.predict(queries[query]).catch((error) => {
        this.errors.set(error.message, (this.errors.get(error.message) ?? 0) + 1)
      })
      const which = given ? whose(given, query) : 'failed'
      if (which === 'old' && this.counts.new && given?.status === 'exact') this.relapses++
      if (given?.status === 'recovered') this.recovered++
      else this.counts[which]++
      if (!given) await new Promise((resolve) => setTimeout(resolve, 5)) // as callers do that are told to come again
    }
  }

  /** Until so many more were answered. */
  async more(count: number, which: Which = 'old'): Promise<void> {
    const enough = this.counts[which] + count
    while (this.counts[which] < enough) await new Promise((resolve) => setTimeout(resolve, 5))
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#done
  }
}

/**
 * Asks all queries again and again, until more than `recoveries` answers were recovered from memory: how many are late depends on what else runs
 * on this machine. @returns answers by status, and whose they are
 */
export async function asked(predictor: Predictor, recoveries: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  let recovered = 0
  for (let round = 0; round < MOST_ROUNDS && recovered <= recoveries; round++) {
    const given = await predictor.predictAll([...queries, ...queries, ...queries])
    for (const [i, prediction] of given.entries()) {
      const which = `${prediction.status} ${whose(prediction, i % queries.length)}`
      counts[which] = (counts[which] ?? 0) + 1
      if (prediction.status === 'recovered') recovered++
    }
  }
  return counts
}
