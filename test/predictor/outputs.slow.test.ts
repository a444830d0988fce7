/** A detector in a predictor: what is recovered is right in every output, or nothing is given. */

import { type ApproxiferError, createPredictor, type ModelWorker, type PredictorOptions } from 'approxifer'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { rmsDifference } from '../../src/base/stats'
import { loadInputs } from '../../src/cli/npy'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { OnnxModel } from '../../src/workers/onnx/model'
import { detector, detectorInputs, unforeseeable } from '../shared/detector'

const [own, other] = await Promise.all([OnnxModel.load(detector), OnnxModel.load(unforeseeable())])
const inputs = await loadInputs(detectorInputs)
afterAll(() => Promise.all([own.close(), other.close()]))

const LEARNED = 350
const LOST = 70
const within = { boxes: 80, scores: 0.2 }
const right = { outputs: { boxes: { within: within.boxes }, scores: { within: within.scores } } }

/** Two workers, which answer at once, and after the first queries too late. */
async function served(model: OnnxModel) {
  const clock = new VirtualClock()
  let takesMs = 1
  const worker = (name: string): ModelWorker => ({
    ...{ name, signature: model.signature, free: true, onFree: undefined },
    async infer([{ data }]) {
      const go = clock.hold()
      const answer = await model.run([{ data, shape: [1, 28] }])
      go()
      await new Promise<void>((resolve) => clock.after(takesMs, resolve))
      return answer.map((tensor) => ({ ...tensor, shape: tensor.shape.slice(1) }))
    },
    close: async () => {},
  })
  const predictor = await createPredictor({
    ...{ workers: [worker('a'), worker('b')], scheme: { queries: 1 }, hedge: false, right, testing: { clock } },
    onWarning: (text) => expect.fail(text),
  })
  const answerTo = async (i: number) => {
    const answer = predictor.predict(inputs[i], { deadlineMs: 100 }).catch((error: ApproxiferError) => error.code)
    await clock.run(clock.now() + takesMs + 120) // what comes late is learned from, too
    return answer
  }
  for (let i = 0; i < LEARNED; i++) await answerTo(i)
  takesMs = 1000
  let [recovered, failed, wrong] = [0, 0, 0]
  for (let i = LEARNED; i < LEARNED + LOST; i++) {
    const answer = await answerTo(i)
    if (typeof answer === 'string') {
      expect(answer).toBe('DEADLINE')
      failed++
      continue
    }
    expect(answer.status).toBe('recovered')
    recovered++
    const own = await model.run([{ data: inputs[i], shape: [1, 28] }])
    const { boxes, scores } = answer.output
    const off = [boxes, scores].map(({ data }, k) => rmsDifference(data, own[k].data as Float32Array))
    if (off[0] > within.boxes || off[1] > within.scores) wrong++
  }
  const { tolerances } = predictor.stats()
  await predictor.close()
  return { recovered, failed, wrong, tolerances }
}

describe('a detector whose answers are late', () => {
  it('recovers where the memory can tell boxes and scores', async () => {
    const { recovered, wrong, tolerances } = await served(own)
    expect(tolerances).toEqual(within)
    expect(recovered).toBeGreaterThan(12)
    expect(wrong).toBeLessThan(0.1 * recovered)
  })

  it('recovers nothing where nobody can foretell the scores', async () => {
    const { recovered, failed } = await served(other)
    expect([recovered, failed]).toEqual([0, LOST])
  })
})

it('how outputs are read is told at load: a guess by a warning, the rest by abilities', async () => {
  const worker = { name: 'a', signature: own.signature, free: true, onFree: undefined, close: async () => {} }
  const load = async (options: PredictorOptions) => {
    const onWarning = vi.fn()
    const workers = [{ ...worker, infer: () => Promise.reject(new Error('not asked')) }]
    const predictor = await createPredictor({ workers, onWarning, ...options })
    await predictor.close()
    return { told: onWarning.mock.calls.map(([text]) => text), abilities: predictor.abilities }
  }
  const guess =
    /^right\.outputs\.boxes: expected .* got none: its name says quantities; right\.outputs\.scores: expected 'label', .* got none: it has as many values as 'boxes' has rows/
  await expect(load({ policy: 'auto' })).rejects.toThrow(guess)
  expect((await load({ policy: 'recover' })).told).toEqual([expect.stringMatching(guess)])
  expect((await load({ policy: 'auto', right })).told).toEqual([])
  expect((await load({})).told).toEqual([]) // nothing is recovered
  expect((await load({ right })).abilities.right).toMatchObject([
    { output: 'boxes', right: { kind: 'tolerance', tolerance: 80 }, why: 'it is said to be' },
    { output: 'scores', right: { kind: 'tolerance', tolerance: 0.2 } },
  ])
  await expect(load({ right: { outputs: { box: { within: 2.5 } } } })).rejects.toThrow(
    "right.outputs.box: expected 'boxes'",
  )
  await expect(load({ right: { outputs: { boxes: 'near' } } as never })).rejects.toThrow(
    'right.outputs.boxes: expected',
  )
})
