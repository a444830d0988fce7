/** A worker whose properties throw, alternate or are nonsense costs a warning: no query, no turn of the loop, no process. */

import { createPredictor, type ModelWorker, type PredictorOptions } from 'approxifer'
import { describe, expect, it } from 'vitest'
import type { TensorList } from '../../src/base/tensor'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { query } from '../shared/hand-predictor'
import { doubling } from '../shared/vectors'
import { Feed } from '../shared/worker-changes'

const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }

/** As many reads in a turn mean that it never ends. */
const TOO_MANY = 2000

class Well implements ModelWorker {
  readonly signature = signature
  readonly identity: string
  readonly signed = true
  readonly trusted = true
  readonly origin: string
  readonly fingerprint = 'f'
  readonly modelId = 'm'
  readonly probed = undefined
  readonly scales = [2, 2]
  readonly repeats = true
  readonly slots = 2
  readonly interruptible = true
  readonly takesNext = true
  readonly roundTripMs = 1
  readonly sequence = undefined
  readonly sharedMemory = undefined
  readonly maxBatch = 2
  readonly gone = false
  onFree: (() => void) | undefined
  open = 0

  constructor(
    readonly name: string,
    readonly clock: VirtualClock,
  ) {
    this.identity = `id-${name}`
    this.origin = `from ${name}`
  }

  get free() {
    return this.open < 3
  }

  infer(row: TensorList): Promise<TensorList> {
    this.open++
    return new Promise((resolve) => {
      this.clock.after(5, () => {
        this.open--
        resolve(doubling(row))
        this.onFree?.()
      })
    })
  }

  inferBatch(rows: readonly TensorList[]) {
    return rows.map((row) => this.infer(row))
  }

  restart() {}

  async close() {}
}

const properties = [
  ...['name', 'identity', 'signed', 'trusted', 'origin', 'signature', 'fingerprint', 'modelId', 'probed', 'scales'],
  ...['repeats', 'slots', 'free', 'interruptible', 'takesNext', 'roundTripMs', 'sharedMemory', 'sequence', 'maxBatch'],
  ...['gone', 'onFree', 'infer', 'inferBatch', 'restart', 'close'],
] as const

const unreadable = new Proxy(new Error(), { get: () => { throw new Error('not even its error') } }) // biome-ignore format: one line
const odd: Record<string, (well: unknown, reads: number) => unknown> = {
  throws: () => {
    throw new Error('boom')
  },
  'throws what cannot be read': () => {
    throw unreadable
  },
  alternates: (well, reads) => (reads % 2 ? well : typeof well === 'boolean' ? !well : undefined),
  'alternates with a throw': (well, reads) => {
    if (reads % 2) return well
    throw null
  },
  'is NaN': () => Number.NaN,
  'is -1': () => -1,
  'is an empty text': () => '',
  'is 1e9': () => 1e9,
  'is an object': () => ({}),
  'is one that cannot be read': () => unreadable,
  'is true': () => true,
  'is null': () => null,
}

let endless = false

/** @param isOdd  whether it misbehaves by now */
function oddly(worker: Well, property: string, how: string, isOdd: () => boolean): ModelWorker {
  let reads = 0
  let last = -1
  return new Proxy(worker, {
    get(target, key) {
      const well = Reflect.get(target, key, target)
      const own = typeof well === 'function' ? well.bind(target) : well
      if (key !== property || !isOdd()) return own
      const now = target.clock.now()
      reads = now === last ? reads + 1 : 1
      last = now
      if (reads > TOO_MANY) {
        endless = true // or the test would never end
        throw new Error(`${property} was read ${TOO_MANY} times in one turn`)
      }
      return odd[how](own, reads)
    },
    set(target, key, value) {
      if (key === property && isOdd() && how.startsWith('throws')) throw new Error('boom')
      return Reflect.set(target, key, value, target)
    },
  })
}

const kinds: Record<string, Partial<PredictorOptions>> = {
  'no scheme': {},
  'a memory': { policy: 'auto', right: 'label' },
  'a scheme': { scheme: { queries: 2, stragglers: 1 } },
  'liars among them': { scheme: { queries: 1, byzantine: 1 }, memory: false },
  'the paper’s code': { scheme: { preset: 'aaai22', queries: 2, stragglers: 1 } },
  'sampled answers': { verify: { mode: 'sampled', rate: 0.2 } },
  'an open fleet': { verify: { trust: 'open' } },
  'a rollout': { rollout: { shadow: 0.5 } },
}

async function ask(property: string, how: string, options: Partial<PredictorOptions>, from: 'the start' | 'later') {
  const clock = new VirtualClock()
  const workers = Array.from({ length: 5 }, (_, i) => new Well(`w${i}`, clock))
  let isOdd = from === 'the start'
  const one = oddly(workers[0], property, how, () => isOdd)
  const warnings: string[] = []
  const feed = new Feed()
  for (const worker of [...workers.slice(1), one]) feed.tell({ add: worker })
  const predictor = await createPredictor({
    workers: feed,
    hangMs: 100,
    deadlineMs: 1000,
    onWarning: (text) => warnings.push(text),
    testing: { clock },
    ...options,
  })
  const outcomes: unknown[] = []
  for (let i = 0; i < 40; i++) {
    if (i === 10) isOdd = true
    predictor.predict(query(i)).then(
      ({ output }) => outcomes.push(output.y.data[0] === 2 * i || Math.abs(output.y.data[0] - 2 * i)),
      ({ message }) => outcomes.push(message),
    )
    if (i % 4 === 3) await clock.run(clock.now() + 10)
  }
  await clock.run()
  await predictor.close()
  return { outcomes, warnings }
}

describe.each(Object.keys(kinds))('with %s', (kind) => {
  it.each(properties)('a worker whose `%s` misbehaves costs a warning at most', async (property) => {
    const wrong: unknown[] = []
    for (const how of Object.keys(odd)) {
      for (const from of ['the start', 'later'] as const) {
        endless = false
        const { outcomes, warnings } = await ask(property, how, kinds[kind], from)
        const bad = outcomes.filter((outcome) => outcome !== true && !(typeof outcome === 'number' && outcome < 1))
        const told = warnings.filter((text) => text.includes(` ${property}`))
        if (endless || bad.length || outcomes.length !== 40 || told.length > 2) wrong.push({ how, from, endless, count: outcomes.length, bad: bad.slice(0, 2), told }) // biome-ignore format: one line
      }
    }
    expect(wrong).toEqual([])
  })
})
