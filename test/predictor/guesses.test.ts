/** Outputs that are read by a guess: what goes by what counts as right is refused where it is said, else left out. */

import { afterEach, expect, it, vi } from 'vitest'
import { createPredictor } from '../../src/predictor/create'
import type { PredictorOptions } from '../../src/predictor/options'
import { SimulatedWorker } from '../../src/testing/simulated-worker'
import { VirtualClock } from '../../src/testing/virtual-clock'

const open: { close(): Promise<void> }[] = []
afterEach(() => Promise.all(open.splice(0).map((each) => each.close())))

/** Workers of a model with one output, which answers what is asked. */
async function started(output: string, options: PredictorOptions = {}, values = 3) {
  const clock = new VirtualClock()
  const signature = { inputs: [{ name: 'x', shape: [values] }], outputs: [{ name: output, shape: [values] }] }
  const simulation = { clock, signature, serviceMs: () => 10, answer: (row: Float32Array) => row.slice() }
  const workers = Array.from({ length: 4 }, (_, i) => new SimulatedWorker(i, simulation))
  const onWarning = vi.fn<(text: string) => void>()
  const predictor = await createPredictor({ workers, onWarning, testing: { clock }, ...options })
  open.push(predictor)
  const ask = (row: Float32Array, how = {}) => {
    const asking = predictor.predict(row, how)
    return clock.run(clock.now() + 50).then(() => asking)
  }
  return { predictor, ask, clock, told: () => onWarning.mock.calls.map(([text]) => text) }
}

const scheme = { queries: 2, stragglers: 1 }
const guess = "right: expected 'label', { top: k }, 'labels', { within: x } or { relative: x } for output 'dense' of [3], got none: nothing tells what its values are" // biome-ignore format: one line

it('a stated policy auto, or maxError, is refused with what to write', async () => {
  await expect(started('dense', { policy: 'auto' })).rejects.toThrow(`${guess}; without it there is no policy 'auto'`)
  await expect(started('dense', { reuse: { maxError: 0.01 } })).rejects.toThrow(`${guess}; without it there is no reuse.maxError 0.01`) // biome-ignore format: one line
  await expect(started('dense', { policy: 'auto' }, 1)).rejects.toThrow('it is one value')
})

it('auto by default is retry, with one warning; a query that says auto is refused', async () => {
  const { told, ask, predictor } = await started('dense', { scheme })
  expect(told()).toEqual([`nothing is recovered, and no answer checked by a memory: ${guess}`])
  for (let i = 0; i < 200; i++) expect((await ask(Float32Array.of(i, 1, 2))).status).toBe('exact')
  expect(predictor.stats()).toMatchObject({ recovered: 0, memoryPairs: 0, doubt: guess })
  await expect(predictor.predict(Float32Array.of(1, 2, 3), { policy: 'auto' })).rejects.toThrow(guess)
})

it('no answer is checked, however well a memory that is there knows it', async () => {
  const options = { scheme: { queries: 1, byzantine: 1 }, memory: {}, verify: { audit: 0 } }
  const states = async (output: string) => {
    const { ask, predictor } = await started(output, options)
    for (let i = 0; i < 400; i++) await ask(Float32Array.of(Math.sin(i), 3 + (i % 2) * -6, 0.1))
    return predictor.stats()
  }
  expect((await states('logits')).checked).toBeGreaterThan(0)
  expect(await states('dense')).toMatchObject({ checked: 0, exact: 400 })
})

it('scores with evidence start without a word; retry, recover and the paper’s preset go on with guesses', async () => {
  for (const output of ['logits', 'scores', 'probabilities'])
    expect((await started(output, { policy: 'auto', scheme })).told()).toEqual([])
  expect((await started('dense', { policy: 'retry', scheme })).told()).toEqual([])
  expect((await started('dense', { policy: 'recover', scheme })).told()).toEqual([guess])
  expect((await started('dense', { right: 'label', policy: 'auto' })).told()).toEqual([])
})

it('the first 50 answers may refute what a name says: nothing approximate is given any more, with one warning', async () => {
  const { ask, told, predictor } = await started('scores', { policy: 'auto' })
  for (let i = 0; i < 49; i++) await ask(Float32Array.of(1 + i, 50 - i, 3))
  expect([told(), predictor.stats().doubt]).toEqual([[], undefined])
  for (let i = 0; i < 50; i++) await ask(Float32Array.of(1 + i, 50 - i, 4))
  const text = "right: expected 'label', { top: k }, 'labels', { within: x } or { relative: x } for output 'scores' of [3]: it was read as classes, since its name says scores of classes, but no value is below 0, as of distances, counts or ratings" // biome-ignore format: one line
  expect(told()).toEqual([`nothing approximate is given any more: ${text}`])
  expect(predictor.stats().doubt).toBe(text)
})
