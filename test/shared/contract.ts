/** The ModelWorker contract (src/workers/worker.ts), for every kind of worker and every runtime. */

import { describe, expect, it } from 'vitest'
import type { ModelWorker } from '../../src/workers/worker'
import { WHAT } from '../fixtures/behaviour.js'

export interface Kind {
  /** A started worker with the fixture's behaviour and maxPending 2. */
  start(): Promise<ModelWorker>
  /** Ways to die that this runtime can show. */
  deaths: ('dies' | 'exits' | 'outOfMemory')[]
  /** Somebody else's to restart. */
  remote?: boolean
}

export const ask = (what: keyof typeof WHAT, x = 0) => Float32Array.of(WHAT[what], x)

/** Resolves when the worker takes calls (again). */
export function free(worker: ModelWorker): Promise<void> {
  return new Promise((resolve) => {
    const check = () => {
      if (!worker.free) return
      worker.onFree = undefined
      resolve()
    }
    worker.onFree = check
    check()
  })
}

export function contract(name: string, { start, deaths, remote = false }: Kind): void {
  const withWorker = (test: (worker: ModelWorker) => Promise<void>) => async () => {
    const worker = await start()
    try {
      await test(worker)
    } finally {
      await worker.close()
    }
  }
  const works = async (worker: ModelWorker) => expect([...(await worker.infer(ask('answer', 5)))]).toEqual([6, 10])

  describe(`ModelWorker contract: ${name}`, () => {
    it('answers', withWorker(works))

    it.each(deaths)(
      '1. infer settles when the worker %s, calls that wait too; it comes back',
      (how) =>
        withWorker(async (worker) => {
          const open = await Promise.allSettled([worker.infer(ask(how)), worker.infer(ask('answer'))])
          for (const call of open) expect(call).toMatchObject({ status: 'rejected', reason: { code: 'WORKER' } })
          await expect(worker.infer(ask('answer'))).rejects.toMatchObject({ code: 'WORKER' })
          await free(worker)
          await works(worker)
        })(),
      20_000,
    )

    it.skipIf(remote)(
      '1. infer settles when a worker that hangs is restarted; it comes back',
      withWorker(async (worker) => {
        const hung = worker.infer(ask('hangs'))
        worker.restart?.('hung')
        await expect(hung).rejects.toMatchObject({ code: 'WORKER', message: expect.stringContaining('hung') })
        await free(worker)
        await works(worker)
      }),
      20_000,
    )

    it.each([
      ['throws', 'WORKER'],
      ['refuses', 'WORKER'],
      ['wrongLength', 'PROTOCOL'],
      ['notANumber', 'PROTOCOL'],
      ['wrongType', 'PROTOCOL'],
      ['noReply', 'PROTOCOL'],
    ] as const)(
      '1. and 3. a worker that answers garbage (%s) rejects with %s, and the next call is fine',
      (how, code) =>
        withWorker(async (worker) => {
          const bad = worker.infer(ask(how))
          const next = worker.infer(ask('answer', 1))
          await expect(bad).rejects.toMatchObject({ name: 'ApproxiferError', code })
          expect([...(await next)]).toEqual([2, 2])
        })(),
    )

    it(
      '2. an abort rejects at once, running or waiting; answers still to come harm nothing',
      withWorker(async (worker) => {
        const [running, waiting] = [new AbortController(), new AbortController()]
        const first = worker.infer(ask('slow', 1), { signal: running.signal })
        const second = worker.infer(ask('slow', 2), { signal: waiting.signal })
        const third = worker.infer(ask('answer', 3))
        let thirdDone = false
        void third.then(() => {
          thirdDone = true
        })
        running.abort()
        waiting.abort()
        await expect(first).rejects.toMatchObject({ code: 'ABORTED' })
        await expect(second).rejects.toMatchObject({ code: 'ABORTED' })
        expect(thirdDone).toBe(false)
        expect([...(await third)]).toEqual([4, 6])
        await expect(worker.infer(ask('answer'), { signal: running.signal })).rejects.toMatchObject({ code: 'ABORTED' })
      }),
    )

    it(
      '4. one runs, maxPending wait, the next is refused at once',
      withWorker(async (worker) => {
        const open = [worker.infer(ask('slow')), worker.infer(ask('answer', 1)), worker.infer(ask('answer', 2))]
        expect(worker.free).toBe(false)
        await expect(worker.infer(ask('answer', 3))).rejects.toMatchObject({ code: 'OVERLOADED' })
        expect((await Promise.all(open)).map((answer) => answer[0])).toEqual([1, 2, 3])
        expect(worker.free).toBe(true)
      }),
    )

    it(
      "5. the caller's buffer is neither detached nor changed",
      withWorker(async (worker) => {
        const whole = Float32Array.of(9, WHAT.answer, 5, 9)
        const row = whole.subarray(1, 3)
        expect([...(await worker.infer(row))]).toEqual([6, 10])
        expect([...whole]).toEqual([9, WHAT.answer, 5, 9])
      }),
    )

    it(
      '6. close rejects open calls and may be called twice',
      withWorker(async (worker) => {
        const open = worker.infer(ask('hangs'))
        const closed = worker.close()
        await expect(open).rejects.toMatchObject({ code: 'CLOSED' })
        await closed
        await worker.close()
        await expect(worker.infer(ask('answer'))).rejects.toMatchObject({ code: 'CLOSED' })
        expect(worker.free).toBe(false)
      }),
    )
  })
}
