import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { localWorkers } from 'approxifer'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { fixture, threads } from '../../shared/threads'
import { inferRow } from '../../shared/vectors'
import { ask } from '../../shared/worker-contract'

describe('7. restarts', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  it('a worker that fails while starting is not restarted', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const createWorker = vi.fn(() => new Worker(fixture))
    await expect(threads({ model: Uint8Array.of(0), createWorker })).rejects.toMatchObject({
      code: 'MODEL',
      message: 'a bad model',
    })
    await vi.advanceTimersByTimeAsync(1e6)
    expect(createWorker).toHaveBeenCalledTimes(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('one that cannot even run its script is reported once', async () => {
    const createWorker = vi.fn(() => new Worker('process.exit(7)', { eval: true }))
    await expect(threads({ workers: 3, createWorker })).rejects.toMatchObject({
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
    await expect(threads({ createWorker })).rejects.toMatchObject({
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
      const worker = new Worker(fixture, { env: { WARN: '1' } })
      exited.push(new Promise((resolve) => worker.once('exit', resolve)))
      return worker
    }
    const onWarning = () => {
      throw new Error('thrown in onWarning')
    }
    await expect(threads({ createWorker, onWarning })).rejects.toThrow('thrown in onWarning')
    await Promise.all(exited)
  })

  it('one that never gets ready is given up after startMs', async () => {
    const createWorker = () => new Worker('setInterval(() => {}, 1000)', { eval: true })
    await expect(threads({ createWorker, startMs: 50 })).rejects.toMatchObject({
      code: 'WORKER',
      message: expect.stringContaining('did not start within 50 ms'),
    })
  })

  it('one that never gets ready ends when its signal fires, and so do all others; before, none begins; later it means nothing', async () => {
    const all: { online: Promise<unknown>; exited: Promise<unknown> }[] = []
    const createWorker = () => {
      const worker = new Worker('for (;;) {}', { eval: true }) // it hears nothing
      all.push({ online: once(worker, 'online'), exited: once(worker, 'exit') })
      return worker
    }
    const stop = new AbortController()
    const failed = threads({ createWorker, signal: stop.signal, workers: 2 }).catch((reason) => reason)
    const { online, exited } = await vi.waitUntil(() => all[0])
    await online
    stop.abort()
    expect((await failed).code).toBe('ABORTED')
    await exited
    await expect(threads({ createWorker, signal: stop.signal })).rejects.toMatchObject({ code: 'ABORTED' })
    const early = new AbortController()
    const reading = localWorkers({ model: 'http://127.0.0.1:9/none.onnx', workers: 1, signal: early.signal })
    early.abort()
    await expect(reading).rejects.toMatchObject({ code: 'ABORTED', name: 'AbortError' }) // not the signal's own reason
    expect(all.length).toBe(1)
    const late = new AbortController()
    const [worker] = await threads({ signal: late.signal })
    late.abort()
    expect(worker.free).toBe(true)
    await worker.close()
    await expect(threads({ signal: 1 as never })).rejects.toThrow('signal: expected an AbortSignal, got 1')
  })

  it('a script that was bundled to nothing: after 2 s and at the end it is said what to do', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const onWarning = vi.fn()
    const createWorker = () => new Worker('setInterval(() => {}, 1000)', { eval: true })
    const failed = threads({ createWorker, onWarning, workers: 3 }).catch((reason) => reason)
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
    const failed = threads({ createWorker, onWarning, workers: 2 }).catch((reason) => reason)
    await spawned
    await vi.advanceTimersByTimeAsync(60_000)
    expect((await failed).message).toContain('worker 1 did not start within 60000 ms')
    expect(onWarning).not.toHaveBeenCalled()
  })

  it('a script that is not there: what to do, at once', async () => {
    const createWorker = () => new Worker(new URL('../no-such-worker.js', import.meta.url))
    await expect(threads({ createWorker })).rejects.toMatchObject({
      code: 'WORKER',
      message: expect.stringMatching(/Cannot find module .*no-such-worker.js.*createWorker/),
    })
  })

  it('a worker that said hello and dies while it loads gets no advice about bundlers', async () => {
    const script =
      "require('node:worker_threads').parentPort.postMessage('approxifer/worker runs'); setTimeout(() => process.exit(7), 50)"
    const createWorker = () => new Worker(script, { eval: true })
    await expect(threads({ createWorker })).rejects.toMatchObject({ message: 'worker 0 exited with code 7' })
  })

  it("the user's own worker, which knows nothing of hello, is not warned about once it has loaded", async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const onWarning = vi.fn()
    const [worker] = await threads({ onWarning })
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
    const [worker] = await threads({ createWorker, startMs: 50_000 })
    const delays = vi.spyOn(globalThis, 'setTimeout')
    await expect(inferRow(worker, ask('exits'))).rejects.toMatchObject({ code: 'WORKER' })
    for (let starts = 2; starts <= 13; starts++) {
      await vi.advanceTimersToNextTimerAsync()
      expect(exited.length).toBe(starts)
      await exited[starts - 1]
      await new Promise((resolve) => setImmediate(resolve)) // let the death be heard
    }
    const waits = delays.mock.calls.map(([, ms]) => ms).filter((ms) => ms !== 12_500 && ms !== 2000) // a quarter of startMs, hello
    const growing = Array.from({ length: 10 }, (_, n) => 100 * 2 ** n)
    expect(waits).toEqual([...growing, 60_000, 60_000, 60_000])
    await worker.close()
  })
})
