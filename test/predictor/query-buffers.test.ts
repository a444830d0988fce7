/** Large queries lie in memory that threads see as well, and that is used again once they are done. */

import { createPredictor, type ModelWorker, type PredictorOptions, type TensorList } from 'approxifer'
import { describe, expect, it, vi } from 'vitest'
import { QueryBuffers } from '../../src/predictor/query-buffers'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { turn } from '../shared/hand-predictor'
import { verdicts } from '../shared/heard-events'
import { Feed } from '../shared/worker-changes'

const LENGTH = 10_000
const signature = { inputs: [{ name: 'x', shape: [LENGTH] }], outputs: [{ name: 'y', shape: [1] }] }
const filled = (value: number) => new Float32Array(LENGTH).fill(value)

/** Answers with the first value that a query has when the test says so. */
class PatientWorker implements ModelWorker {
  readonly signature = signature
  readonly slots = 4
  readonly scales: readonly number[] = [] // it is not asked
  onFree: (() => void) | undefined
  readonly asked: { data: Float32Array; answer: () => void }[] = []
  sharedMemory: ModelWorker['sharedMemory'] = (bytes) => new SharedArrayBuffer(bytes)

  constructor(
    readonly name: string,
    private readonly answersAtOnce = false,
  ) {}

  get free() {
    return true
  }

  infer([{ data }]: TensorList, { signal }: { signal?: AbortSignal } = {}): Promise<TensorList> {
    return new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason))
      const answer = () => resolve([{ data: Float32Array.of(data[0] as number), shape: [1] }])
      this.asked.push({ data: data as Float32Array, answer })
      if (this.answersAtOnce) answer()
    })
  }

  async close() {}
}

const started = async (workers: ModelWorker[], options: Partial<PredictorOptions> = {}) =>
  createPredictor({ workers, hedge: false, onWarning: () => {}, ...options })
const buffers = (workers: PatientWorker[]) =>
  new Set(workers.flatMap(({ asked }) => asked.map(({ data }) => data.buffer)))
const asked = (worker: PatientWorker, count: number) => vi.waitFor(() => expect(worker.asked.length).toBe(count))

describe('a large query', () => {
  it('that is asked again, since the model was replaced, is not in memory that another query has by then', async () => {
    const [feed, worker] = [new Feed(), new PatientWorker('a')]
    feed.tell({ add: worker })
    const predictor = await createPredictor({ workers: feed, hedge: false, onWarning: () => {} })
    const first = predictor.predict(filled(1))
    await asked(worker, 1)
    feed.tell({ model: 'another' })
    await turn()
    const second = predictor.predict(filled(2))
    await asked(worker, 3)
    expect(worker.asked[1].data.buffer).toBe(worker.asked[0].data.buffer)
    for (const { answer } of worker.asked) answer()
    expect((await Promise.all([first, second])).map(({ output }) => output.y.data[0])).toEqual([1, 2])
    await predictor.close()
  })

  it('is copied once, into memory that no other query under way is in, and that is used again', async () => {
    const worker = new PatientWorker('a')
    const predictor = await started([worker])
    for (let i = 0; i < 6; i += 2) {
      const own = [filled(i), filled(i + 1)]
      const predictions = own.map((query) => predictor.predict(query))
      for (const query of own) query.fill(-1)
      await asked(worker, i + 2)
      for (const { data, answer } of worker.asked.slice(i)) {
        expect(data.buffer).toBeInstanceOf(SharedArrayBuffer)
        answer()
      }
      expect((await Promise.all(predictions)).map(({ output }) => output.y.data[0])).toEqual([i, i + 1])
    }
    expect(buffers([worker]).size).toBe(2)
    await predictor.close()
  })

  it('keeps its memory until its last attempt is over, not only until its caller has left', async () => {
    const worker = new PatientWorker('a')
    const predictor = await started([worker])
    const abort = new AbortController()
    const left = predictor.predict(filled(1), { signal: abort.signal }).catch(({ code }) => code)
    const other = predictor.predict(filled(2))
    await asked(worker, 2)
    abort.abort()
    expect(await left).toBe('ABORTED')
    const third = predictor.predict(filled(3)) // the first one's worker was told
    await asked(worker, 3)
    expect(worker.asked[1].data[0]).toBe(2)
    for (const { answer } of worker.asked) answer()
    expect([(await other).output.y.data[0], (await third).output.y.data[0]]).toEqual([2, 3])
    await predictor.close()
  })

  it('is copied once more for an audit, which lasts longer: an honest worker is no liar', async () => {
    const workers = ['a', 'b', 'c'].map((name) => new PatientWorker(name, true))
    const judged: string[] = []
    const onEvent = verdicts(({ kind }) => judged.push(kind))
    const clock = new VirtualClock()
    const options = { hedge: { budget: 0.2 }, verify: { audit: 1 }, onEvent, testing: { clock } }
    const predictor = await started(workers, options)
    for (let i = 1; i < 40; i++) {
      await predictor.predict(filled(i))
      await clock.run(clock.now() + 1000) // nothing is at work: there is room for audits
    }
    const audited = workers.flatMap((worker) => worker.asked).filter(({ data }) => data.buffer instanceof ArrayBuffer)
    expect([audited.length > 10, judged]).toEqual([true, []])
    expect(audited.every(({ data }) => data[0] === data[LENGTH - 1])).toBe(true)
    await predictor.close()
  })

  it.each<[string, Partial<PredictorOptions>]>([
    ['is kept by nobody else', { reuse: { exact: true } }],
    ['is not remembered', { policy: 'auto', right: { within: 0.1 } }],
  ])('shares memory only where it %s', async (_, options) => {
    const worker = new PatientWorker('a', true)
    const predictor = await started([worker], options)
    await predictor.predict(filled(1))
    expect(worker.asked[0].data.buffer).toBeInstanceOf(ArrayBuffer)
    await predictor.close()
  })

  it('that was given away stays the caller’s', async () => {
    const worker = new PatientWorker('a', true)
    const predictor = await started([worker])
    const own = new Float32Array(new SharedArrayBuffer(4 * LENGTH)).fill(1)
    await predictor.predictGiven(own)
    await predictor.predict(filled(2))
    expect([own[0], worker.asked[1].data.buffer === own.buffer]).toEqual([1, false])
    await predictor.close()
  })
})

describe('memory for queries', () => {
  const memory = () => new QueryBuffers(new PatientWorker('a'))

  it('is for large ones, where every worker reads it', () => {
    expect(memory().copy(filled(1)).constructor).toBe(Float32Array)
    expect((memory().copy(new Float32Array(10)) as Float32Array).buffer).toBeInstanceOf(ArrayBuffer)
    expect(memory().copy(['a', 'b'])).toEqual(['a', 'b'])
    const far = Object.assign(new PatientWorker('far'), { sharedMemory: undefined })
    const mixed = memory()
    mixed.joined(far)
    expect((mixed.copy(filled(1)) as Float32Array).buffer).toBeInstanceOf(ArrayBuffer)
  })

  it('is not used where one of the first workers does not read it', async () => {
    const workers = [new PatientWorker('a', true), new PatientWorker('far', true)]
    workers[1].sharedMemory = undefined
    const predictor = await started(workers)
    await predictor.predict(filled(1))
    expect([...buffers(workers)]).toEqual([expect.any(ArrayBuffer)])
    await predictor.close()
  })
})
