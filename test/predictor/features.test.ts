/** A memory for queries that are no vectors: by numbers that the user makes of each. */

import { describe, expect, it, onTestFinished } from 'vitest'
import { seeded } from '../../src/base/random'
import type { Tensors } from '../../src/base/tensor'
import { createPredictor } from '../../src/predictor/create'
import type { PredictorOptions } from '../../src/predictor/options'
import { VirtualClock } from '../../src/testing/virtual-clock'
import type { ModelWorker } from '../../src/workers/worker'

/** Says whether there are more tokens below 50 or above. */
class TokenWorker implements ModelWorker {
  readonly signature = {
    inputs: [{ name: 'ids', shape: [-1], type: 'int64' as const }],
    outputs: [{ name: 'logits', shape: [2] }],
  }
  readonly free = true
  onFree: (() => void) | undefined
  isLost = false
  constructor(readonly name: string) {}
  async infer([{ data }]: Parameters<ModelWorker['infer']>[0]) {
    if (this.isLost) throw new Error('lost')
    const low = [...(data as unknown as BigInt64Array)].filter((id) => id < 50n).length
    return [{ data: Float32Array.of(low, data.length - low), shape: [2] }]
  }
  async close() {}
}

const random = seeded(3)
const tokens = (): { ids: { data: BigInt64Array; shape: number[] } } => {
  const isLow = random.next() < 0.5
  const length = 5 + Math.floor(8 * random.next())
  const data = BigInt64Array.from({ length }, () =>
    BigInt(Math.floor(50 * random.next()) + (isLow !== random.next() < 0.1 ? 0 : 50)),
  )
  return { ids: { data, shape: [length] } }
}
const shares = ({ ids: { data } }: Tensors) => {
  const ids = Array.from(data as unknown as BigInt64Array, Number)
  return Float32Array.of(
    ids.filter((id) => id < 50).length / ids.length,
    ids.reduce((sum, id) => sum + id, 0) / ids.length / 100,
  )
}

async function predictorOf(options: Partial<PredictorOptions>) {
  const workers = [new TokenWorker('a'), new TokenWorker('b')]
  const warnings: string[] = []
  const clock = new VirtualClock()
  const onWarning = (text: string) => warnings.push(text)
  const predictor = await createPredictor({
    workers,
    policy: 'auto',
    right: 'label',
    onWarning,
    testing: { clock },
    ...options,
  })
  onTestFinished(() => predictor.close())
  const turn = () => clock.run(clock.now() + 1)
  const learn = async (count: number) => {
    for (let n = 0; predictor.stats().memoryPairs < count; n++) {
      if (n > 5000) throw new Error(`${predictor.stats().memoryPairs} are remembered; ${warnings}`)
      await predictor.predict(tokens())
      await turn()
    }
  }
  return { predictor, workers, warnings, turn, learn }
}

describe('tokens with features of the user', () => {
  it('are recovered from memory when every worker is lost', async () => {
    const { predictor, workers, turn, learn } = await predictorOf({ memory: { features: shares } })
    expect(predictor.abilities).toMatchObject({ memory: 'features', coding: false })
    await learn(128)
    for (const worker of workers) worker.isLost = true
    const query = tokens()
    const asked = predictor.predict(query, { minConfidence: 0.5 })
    await turn()
    const { status, output } = await asked
    expect(status).toBe('recovered')
    const [low, high] = output.logits.data as Float32Array
    expect(low > high).toBe(shares(query as unknown as Tensors)[0] > 0.5)
  })

  it('are answered before asking, within a budget of errors', async () => {
    const { predictor, turn, learn } = await predictorOf({ memory: { features: shares }, reuse: { maxError: 0.05 } })
    await learn(128)
    const statuses = new Set<string>()
    for (let n = 0; n < 3000 && !statuses.has('remembered'); n++) {
      statuses.add((await predictor.predict(tokens())).status)
      await turn()
    }
    expect([...statuses].sort()).toEqual(['exact', 'remembered'])
  })

  it('go on from what was saved, of as many numbers', async () => {
    const { predictor, learn } = await predictorOf({ memory: { features: shares } })
    await learn(128)
    const state = await predictor.save()
    const again = await predictorOf({ memory: { features: shares, state } })
    expect(again.predictor.stats().memoryPairs).toBe(predictor.stats().memoryPairs)
    const other = await predictorOf({ memory: { features: () => new Float32Array(3), state } })
    expect(other.predictor.stats().memoryPairs).toBe(0)
    expect(other.warnings).toEqual([expect.stringMatching(/^nothing is taken over .*: expected/)])
  })

  it('a query on which the function fails is answered, not remembered, and told of once', async () => {
    const broken = (query: Tensors) => {
      if (query.ids.data.length === 3) throw new Error('no such word')
      return shares(query)
    }
    const { predictor, workers, warnings, turn, learn } = await predictorOf({ memory: { features: broken } })
    await learn(128)
    const short = { ids: { data: BigInt64Array.of(1n, 2n, 3n), shape: [3] } }
    const { status, output } = await predictor.predict(short)
    expect([status, ...(output.logits.data as Float32Array)]).toEqual(['exact', 3, 0])
    await predictor.predict(short)
    expect(warnings.filter((text) => text.includes('no such word'))).toEqual([
      'a query is not remembered: no such word',
    ])
    for (const worker of workers) worker.isLost = true
    const both = [short, tokens()].map((query) => predictor.predict(query, { minConfidence: 0 }).then(({ status }) => status, ({ code }) => code)) // biome-ignore format: one line
    await turn()
    expect(await Promise.all(both)).toEqual(['WORKER', 'recovered'])
  })
})

describe('is refused', () => {
  it('a function that gives no numbers, at once', async () => {
    const features = () => Float32Array.of(Number.NaN)
    await expect(predictorOf({ memory: { features } })).rejects.toThrow(
      'memory.features(query): expected a Float32Array of finite values',
    )
  })

  it('a memory without one, and a code with one', async () => {
    await expect(predictorOf({ memory: {} })).rejects.toThrow(
      /^memory: expected false, got Object: .* int64.*; .*memory\.features/,
    )
    const scheme = { queries: 1, stragglers: 1 }
    await expect(predictorOf({ memory: { features: shares }, scheme })).rejects.toThrow(
      /^scheme.stragglers: expected 0/,
    )
  })
})
