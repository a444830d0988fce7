import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { createPredictor, type LocalOptions, localWorkers, type ModelWorker } from 'approxifer'
import { FaultyWorker } from 'approxifer/testing'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { WHAT } from '../fixtures/behaviour.js'
import { ask, contract, free as freed } from '../shared/contract'
import { PATIENCE_MS } from '../shared/patience'

const fixture = new URL('../fixtures/thread.js', import.meta.url)
const small = { resourceLimits: { maxOldGenerationSizeMb: 24 } } // so that running out of memory takes no minute
const lenet = fileURLToPath(new URL('../../models/mnist-lenet.onnx', import.meta.url))

const fake = (options: Partial<LocalOptions> = {}) =>
  localWorkers({ model: Uint8Array.of(1), count: 1, createWorker: () => new Worker(fixture, small), ...options })

contract('threads', {
  start: async () => (await fake())[0],
  deaths: ['dies', 'exits', 'outOfMemory'],
})

contract('threads behind FaultyWorker', {
  start: async () => new FaultyWorker((await fake())[0], {}, 1),
  deaths: ['dies', 'exits'],
})

/** One that is somebody else's to restart. */
function elsewhere(worker: ModelWorker): ModelWorker {
  const { name, signature, infer, close } = worker
  return {
    name,
    signature,
    infer: infer.bind(worker),
    close: close.bind(worker),
    get free() {
      return worker.free
    },
    get onFree() {
      return worker.onFree
    },
    set onFree(listener) {
      worker.onFree = listener
    },
  }
}

contract('threads without restart', {
  start: async () => elsewhere((await fake())[0]),
  deaths: ['dies'],
})

contract('threads without restart, behind FaultyWorker, that take one call at a time', {
  start: async () => new FaultyWorker(elsewhere((await fake({ maxPending: 0 }))[0]), {}, 1),
  deaths: ['dies'],
  takes: 1,
})

it('a fault that kills fails the call where nobody can restart the worker', async () => {
  const worker = new FaultyWorker(elsewhere((await fake())[0]), { crash: 1 }, 1)
  await expect(worker.infer(ask('answer'))).rejects.toMatchObject({ code: 'WORKER', message: /was killed by a fault/ })
  worker.faults = {}
  expect([worker.restart, worker.gone, ...(await worker.infer(ask('answer', 1)))]).toEqual([undefined, false, 2, 2])
  await worker.close()
})

describe('7. restarts', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  it('a worker that fails while starting is not restarted', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const createWorker = vi.fn(() => new Worker(fixture))
    await expect(fake({ model: Uint8Array.of(0), createWorker })).rejects.toMatchObject({
      code: 'MODEL',
      message: 'a bad model',
    })
    await vi.advanceTimersByTimeAsync(1e6)
    expect(createWorker).toHaveBeenCalledTimes(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('one that cannot even run its script is reported once', async () => {
    const createWorker = vi.fn(() => new Worker('process.exit(7)', { eval: true }))
    await expect(fake({ count: 3, createWorker })).rejects.toMatchObject({
      code: 'WORKER',
      message: expect.stringContaining('exited with code 7'),
    })
    expect(createWorker).toHaveBeenCalledTimes(1)
  })

  it('one that cannot be spawned rejects with WORKER, and nothing goes unhandled', async () => {
    const unhandled = vi.fn()
    process.on('unhandledRejection', unhandled)
    const createWorker = () => {
      throw new Error('no threads')
    }
    await expect(fake({ createWorker })).rejects.toMatchObject({
      code: 'WORKER',
      message: 'worker 0 could not start: no threads',
    })
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', unhandled)
    expect(unhandled).not.toHaveBeenCalled()
  })

  it('a warning handler that throws leaves no thread behind', async () => {
    const exited: Promise<unknown>[] = []
    const createWorker = () => {
      const worker = new Worker(new URL('../fixtures/thread.js', import.meta.url), { env: { WARN: '1' } })
      exited.push(new Promise((resolve) => worker.once('exit', resolve)))
      return worker
    }
    const onWarning = () => {
      throw new Error('thrown in onWarning')
    }
    await expect(fake({ createWorker, onWarning })).rejects.toThrow('thrown in onWarning')
    await Promise.all(exited)
  })

  it('one that never gets ready is given up after startMs', async () => {
    const createWorker = () => new Worker('setInterval(() => {}, 1000)', { eval: true })
    await expect(fake({ createWorker, startMs: 50 })).rejects.toMatchObject({
      code: 'WORKER',
      message: expect.stringContaining('did not start within 50 ms'),
    })
  })

  it('a script that was bundled to nothing: after 2 s and at the end it is said what to do', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const onWarning = vi.fn()
    const createWorker = () => new Worker('setInterval(() => {}, 1000)', { eval: true })
    const failed = fake({ createWorker, onWarning, count: 3 }).catch((reason) => reason)
    await vi.advanceTimersByTimeAsync(1999)
    expect(onWarning).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(1)
    const [[text]] = onWarning.mock.calls
    for (const word of ['2000 ms', 'createWorker', "'approxifer/worker'", "worker: { format: 'es' }"]) {
      expect(text).toContain(word)
    }
    await vi.advanceTimersByTimeAsync(58_000)
    const { code, message } = await failed
    expect([code, onWarning.mock.calls.length]).toEqual(['WORKER', 1])
    expect(message).toMatch(/did not start within 60000 ms.*createWorker/)
  })

  it('once one worker has run the script, slow starts of the others are not taken for a missing script', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const onWarning = vi.fn()
    let second = () => {}
    const spawned = new Promise<void>((resolve) => {
      second = resolve
    })
    let count = 0
    const createWorker = () => {
      if (count++ === 0) return new Worker(fixture)
      second()
      return new Worker('setInterval(() => {}, 1000)', { eval: true })
    }
    const failed = fake({ createWorker, onWarning, count: 2 }).catch((reason) => reason)
    await spawned
    await vi.advanceTimersByTimeAsync(60_000)
    expect((await failed).message).toContain('worker 1 did not start within 60000 ms')
    expect(onWarning).not.toHaveBeenCalled()
  })

  it('a script that is not there: what to do, at once', async () => {
    const createWorker = () => new Worker(new URL('../no-such-worker.js', import.meta.url))
    await expect(fake({ createWorker })).rejects.toMatchObject({
      code: 'WORKER',
      message: expect.stringMatching(/Cannot find module .*no-such-worker.js.*createWorker/),
    })
  })

  it('a worker that said hello and dies while it loads gets no advice about bundlers', async () => {
    const script =
      "require('node:worker_threads').parentPort.postMessage('approxifer/worker runs'); setTimeout(() => process.exit(7), 50)"
    const createWorker = () => new Worker(script, { eval: true })
    await expect(fake({ createWorker })).rejects.toMatchObject({ message: 'worker 0 exited with code 7' })
  })

  it("the user's own worker, which knows nothing of hello, is not warned about once it has loaded", async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const onWarning = vi.fn()
    const [worker] = await fake({ onWarning })
    await vi.advanceTimersByTimeAsync(10_000)
    expect(onWarning).not.toHaveBeenCalled()
    await worker.close()
  })

  it('one that dies later is restarted with growing waits, up to a minute, and never given up', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const exited: Promise<unknown>[] = []
    const createWorker = () => {
      const worker = exited.length ? new Worker('process.exit(1)', { eval: true }) : new Worker(fixture)
      exited.push(new Promise((resolve) => worker.once('exit', resolve)))
      return worker
    }
    const [worker] = await fake({ createWorker, startMs: 50_000 })
    const delays = vi.spyOn(globalThis, 'setTimeout')
    await expect(worker.infer(ask('exits'))).rejects.toMatchObject({ code: 'WORKER' })
    for (let starts = 2; starts <= 13; starts++) {
      await vi.advanceTimersToNextTimerAsync()
      expect(exited.length).toBe(starts)
      await exited[starts - 1]
      await new Promise((resolve) => setImmediate(resolve)) // let the death be heard
    }
    const waits = delays.mock.calls.map(([, ms]) => ms).filter((ms) => ms !== 50_000 && ms !== 2000) // startMs, hello
    const growing = Array.from({ length: 10 }, (_, n) => 100 * 2 ** n)
    expect(waits).toEqual([...growing, 60_000, 60_000, 60_000])
    await worker.close()
  })
})

it.each([
  ['while it ran', 'setTimeout(() => abort.abort(), 50)', ''],
  ['before it came', '', 'abort.abort()'],
])('a call that was aborted %s no longer keeps the process alive', (_, later, before) => {
  const script = `
    import { Worker } from 'node:worker_threads'
    import { localWorkers } from 'approxifer'
    const createWorker = () => new Worker(new URL(process.argv[1]), { execArgv: [] })
    const [worker] = await localWorkers({ model: Uint8Array.of(1), count: 1, createWorker })
    const abort = new AbortController()
    ${before}
    worker.infer(Float32Array.of(${WHAT.hangs}, 0), { signal: abort.signal }).catch(({ code }) => console.log(code))
    ${later}`
  const options = { encoding: 'utf8', timeout: PATIENCE_MS } as const
  const args = ['--input-type=module', '-e', script, '--', fixture.href]
  const { status, stdout } = spawnSync(process.execPath, args, options)
  expect([status, stdout.trim()]).toEqual([0, 'ABORTED'])
})

describe('real model in real threads', () => {
  it('answers like the model itself, shares its bytes, keeps the warnings', async () => {
    const bytes = readFileSync(lenet)
    const workers = await localWorkers({ model: bytes, count: 3 })
    expect(workers.map((worker) => worker.name)).toEqual(['worker 0', 'worker 1', 'worker 2'])
    expect(workers[0].signature).toEqual({
      inputs: [{ name: 'input', shape: [1, 28, 28] }],
      outputs: [{ name: 'logits', shape: [10] }],
    })
    const row = Float32Array.from({ length: 784 }, (_, i) => (i % 7) / 7)
    const answers = await Promise.all(workers.map((worker) => worker.infer(row)))
    expect(answers[1]).toEqual(answers[0])
    expect(answers[2]).toEqual(answers[0])
    await Promise.all(workers.map((worker) => worker.close()))
  })

  it('a killed thread comes back with the model', async () => {
    const [worker] = await localWorkers({ model: lenet, count: 1 })
    const row = new Float32Array(784)
    const before = await worker.infer(row)
    worker.restart?.('was killed')
    await freed(worker)
    expect(await worker.infer(row)).toEqual(before)
    await worker.close()
  })

  it('a number of threads that would take all memory', async () => {
    const most = Math.max(64, 16 * availableParallelism())
    const message = (field: string) => `${field}: expected an integer from 1 to ${most}, got ${most + 1}`
    await expect(localWorkers({ model: lenet, count: most + 1 })).rejects.toThrow(message('count'))
    await expect(createPredictor({ model: lenet, workers: most + 1 })).rejects.toThrow(message('workers'))
  })

  it('a missing file, a wrong kind of model, no model at all', async () => {
    await expect(localWorkers({ model: 'no/such.onnx', count: 1 })).rejects.toMatchObject({
      code: 'MODEL',
      message: expect.stringContaining("'no/such.onnx' cannot be read"),
    })
    await expect(localWorkers({ model: Uint8Array.of(1, 2, 3), count: 1 })).rejects.toMatchObject({ code: 'MODEL' })
    await expect(localWorkers({ model: 5 as unknown as string, count: 1 })).rejects.toThrow(
      'model: expected a path, a URL or bytes, got 5',
    )
  })
})

describe('6. nothing keeps the process alive', () => {
  const script = (after: string) => `
    import { localWorkers } from 'approxifer'
    const [worker] = await localWorkers({ model: ${JSON.stringify(lenet)}, count: 1 })
    await worker.infer(new Float32Array(784))
    ${after}
    console.log('end of script')`

  it.each([
    ['after close', 'await worker.close()'],
    ['without close', ''],
    [
      'after an aborted call',
      'const c = new AbortController(); const p = worker.infer(new Float32Array(784), { signal: c.signal }); c.abort(); await p.catch(() => {})',
    ],
    ['while a dead worker waits for its restart', "worker.restart('was killed')"],
  ])('%s', (_, after) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script(after)], {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      timeout: PATIENCE_MS,
      encoding: 'utf8',
    })
    expect([status, stdout.trim(), stderr]).toEqual([0, 'end of script', ''])
  })
})
