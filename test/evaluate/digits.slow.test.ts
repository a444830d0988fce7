import { readFileSync } from 'node:fs'
import { createPredictor, localWorkers } from 'approxifer'
import { FaultyWorker } from 'approxifer/testing'
import { expect, it } from 'vitest'
import { accuracy, digits } from '../shared/digits'
import { verdicts } from '../shared/heard-events'
import { inferRow } from '../shared/vectors'
import { PATIENCE_MS } from '../shared/waiting'

const file = (name: string) => new Uint8Array(readFileSync(`models/${name}`)).buffer
const { images, labels } = digits(file('mnist-digits.npy'), file('mnist-labels.npy'))
const model = 'models/mnist-lenet.onnx'

it('the paper’s scheme, real digits, real threads: a straggler, a crash and a liar at once', async () => {
  const local = await localWorkers({ model, workers: 12 })
  const workers = local.map((worker, i) => new FaultyWorker(worker, {}, i))
  workers[1].faults = { delayMs: 400 }
  workers[5].faults = { crash: 1 }
  workers[9].faults = { lie: 1, attack: 'gauss:30' }
  const predictor = await createPredictor({
    scheme: { queries: 4, stragglers: 2, byzantine: 1, preset: 'aaai22' },
    workers,
    deadlineMs: PATIENCE_MS,
  })
  const predictions = await predictor.predictAll(images.slice(0, 80))
  expect(accuracy(predictions, labels)).toBeGreaterThan(0.85)
  const { workers: stats, exact, recovered, failed } = predictor.stats()
  expect([exact + recovered, failed]).toEqual([80, {}])
  expect(stats[5].failed).toBeGreaterThan(0)
  expect(stats[5].onTime).toBe(0)
  expect(stats[9].onTime).toBeGreaterThan(0) // 20 of 20 where the machine is not so busy that others are slower
  expect(stats[9].suspected).toBeGreaterThanOrEqual(0.75 * stats[9].onTime) // the paper’s vote misses some
  await predictor.close()
})

it('systematic: nothing missing, and every answer is the model’s own, bit for bit', async () => {
  const [alone, ...workers] = await localWorkers({ model, workers: 6 })
  const predictor = await createPredictor({ scheme: { queries: 4, stragglers: 1 }, workers })
  const predictions = await predictor.predictAll(images.slice(0, 40))
  for (const [i, { status, output }] of predictions.entries()) {
    if (status === 'exact') expect(output.logits.data).toEqual(await inferRow(alone, images[i]))
  }
  expect(predictions.filter(({ status }) => status === 'exact').length).toBeGreaterThan(30)
  expect(accuracy(predictions, labels)).toBeGreaterThan(0.9)
  await Promise.all([predictor.close(), alone.close()])
})

it('a worker with one flipped bit in its weights, which changes no label, is found and restarted', async () => {
  const flipped = new Uint8Array(readFileSync(model))
  flipped[60_002] ^= 0x40 // the exponent of one weight: values are off by up to 1
  const [honest, [other]] = await Promise.all([
    localWorkers({ model, workers: 5 }),
    localWorkers({ model: flipped, workers: 1 }),
  ])
  const alone = honest[4]
  const broken = Object.assign(other, { name: 'broken' }) // every worker has a name of its own
  const told: string[] = []
  const judged: object[] = []
  const predictor = await createPredictor({
    scheme: { queries: 2, byzantine: 1 },
    workers: [...honest.slice(0, 4), broken],
    deadlineMs: PATIENCE_MS,
    onWarning: (text) => told.push(text),
    onEvent: verdicts((verdict) => {
      judged.push(verdict)
      throw new Error('a listener that throws costs nothing')
    }),
  })
  const predictions = await predictor.predictAll(images.slice(0, 120))
  for (const [i, { status, output }] of predictions.entries()) {
    const own = await inferRow(alone, images[i])
    expect(status).toBe('exact')
    expect(Math.max(...own.map((value, c) => Math.abs(value - output.logits.data[c])))).toBeLessThan(0.05)
  }
  expect(told.filter((text) => text.startsWith(`${broken.name} lied, with proof`)).length).toBe(1)
  const evidence = { lies: expect.any(Number), ejections: 1 }
  const { name } = broken
  expect(judged).toEqual([
    { worker: name, identity: name, kind: 'ejected', evidence: expect.objectContaining(evidence) },
  ])
  expect(predictor.stats().workers.map(({ ejections }) => ejections)).toEqual([0, 0, 0, 0, 1])
  await Promise.all([predictor.close(), alone.close()])
})

it('all cores give the same answers', async () => {
  const ask = async (prefer: 'wasm' | 'js') => {
    const scheme = { queries: 4, workers: 5, preset: 'aaai22' as const } // all five are waited for
    const predictor = await createPredictor({ model, testing: { core: { prefer } }, scheme, deadlineMs: PATIENCE_MS })
    const predictions = await predictor.predictAll(images.slice(0, 16))
    expect(predictor.stats().core).toBe(prefer)
    await predictor.close()
    return predictions.map(({ output }) => output)
  }
  expect(await ask('js')).toEqual(await ask('wasm'))
})

it('close in the middle of a stream settles every promise', async () => {
  const predictor = await createPredictor({ model, scheme: { queries: 2, stragglers: 1 } })
  const open = images.slice(0, 60).map((image) => predictor.predict(image))
  const settled = Promise.allSettled(open)
  await Promise.race(open)
  await predictor.close()
  const outcomes = (await settled).map((outcome) => (outcome.status === 'rejected' ? outcome.reason.code : 'answered'))
  expect(new Set(outcomes)).toEqual(new Set(['answered', 'CLOSED']))
})

it('a predictor that is refused leaves no thread behind', async () => {
  const threads = () => process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length
  const before = threads()
  const options = { model, scheme: { queries: 2, stragglers: 1 }, memory: { features: () => new Float32Array(0) } }
  await expect(createPredictor(options)).rejects.toThrow('features')
  expect(threads()).toBeLessThanOrEqual(before) // those of tests before may be ending
})
