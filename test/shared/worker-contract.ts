/** The ModelWorker contract (src/workers/worker.ts), for every kind of worker and every runtime. */

import { describe, expect, it } from 'vitest'
import type { ModelWorker } from '../../src/workers/worker'
import { WHAT } from '../fixtures/behaviour.js'
import { inferRow } from './vectors'

export interface Kind {
  /** A started worker with the fixture's behaviour. Without `restart`, its deaths are such that it comes back by itself. */
  start(): Promise<ModelWorker>
  /** Ways to die that this runtime can show. */
  deaths: ('dies' | 'exits' | 'outOfMemory')[]
  /** Calls that it takes at a time, 1 to 3. Default 3: one runs, maxPending wait. */
  takes?: 1 | 2 | 3
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

export function contract(name: string, { start, deaths, takes = 3 }: Kind): void {
  const withWorker = (test: (worker: ModelWorker) => Promise<void>) => async () => {
    const worker = await start()
    try {
      await test(worker)
    } finally {
      await worker.close()
    }
  }
  /** As many calls as it takes. */
  const upTo = (most: number, ask: (i: number) => Promise<Float32Array>) =>
    Array.from({ length: Math.min(most, takes) }, (_, i) => ask(i))
  const works = async (worker: ModelWorker) => expect([...(await inferRow(worker, ask('answer', 5)))]).toEqual([6, 10])

  describe(`ModelWorker contract: ${name}`, () => {
    it('answers', withWorker(works))

    it.each(deaths)('1. infer settles when the worker %s, calls that wait too; it comes back', (how) =>
      withWorker(async (worker) => {
        // The other call has no answer: to a server it may come first.
        const open = await Promise.allSettled(upTo(2, (i) => inferRow(worker, ask(i ? 'hangs' : how))))
        for (const call of open) expect(call).toMatchObject({ status: 'rejected', reason: { code: 'WORKER' } })
        await expect(inferRow(worker, ask('answer'))).rejects.toMatchObject({ code: 'WORKER' })
        await free(worker)
        await works(worker)
      })(),
    )

    it(
      '1. infer settles when a worker that hangs is restarted, and comes back; without restart, when it is aborted',
      withWorker(async (worker) => {
        const abort = new AbortController()
        const hung = inferRow(worker, ask('hangs'), abort)
        if (!worker.restart) {
          abort.abort()
          return expect(hung).rejects.toMatchObject({ code: 'ABORTED' })
        }
        worker.restart('hung')
        await expect(hung).rejects.toMatchObject({ code: 'WORKER', message: expect.stringContaining('hung') })
        await free(worker)
        await works(worker)
      }),
    )

    it.each([
      ['throws', 'WORKER'],
      ['refuses', 'WORKER'],
      ['wrongLength', 'PROTOCOL'],
      ['wrongType', 'PROTOCOL'],
      ['noReply', 'PROTOCOL'],
    ] as const)(
      '1. and 3. a worker that answers garbage (%s) rejects with %s, and the next call is fine',
      (how, code) =>
        withWorker(async (worker) => {
          const [bad, behind] = upTo(2, (i) => inferRow(worker, i ? ask('answer', 1) : ask(how)))
          await expect(bad).rejects.toMatchObject({ name: 'ApproxiferError', code })
          expect([...(await (behind ?? inferRow(worker, ask('answer', 1))))]).toEqual([2, 2])
        })(),
    )

    it(
      '1. an answer that is no number rejects with PROTOCOL, or is handed on to whoever asked',
      withWorker(async (worker) => {
        const told = await inferRow(worker, ask('notANumber')).catch(({ code }) => code)
        if (told !== 'PROTOCOL') expect([...told].some(Number.isNaN)).toBe(true)
        await works(worker)
      }),
    )

    it(
      '2. an abort rejects at once, running or waiting; answers still to come harm nothing',
      withWorker(async (worker) => {
        const aborts = upTo(2, async () => new Float32Array()).map(() => new AbortController())
        const open = aborts.map(({ signal }, i) => inferRow(worker, ask('slow', i), { signal }))
        const third = takes === 3 && inferRow(worker, ask('answer', 3))
        let thirdDone = false
        if (third) {
          void third.then(() => {
            thirdDone = true
          })
        }
        for (const abort of aborts) abort.abort()
        for (const call of open) await expect(call).rejects.toMatchObject({ code: 'ABORTED' })
        expect(thirdDone).toBe(false)
        if (third) expect([...(await third)]).toEqual([4, 6])
        await free(worker)
        await works(worker)
        await expect(inferRow(worker, ask('answer'), aborts[0])).rejects.toMatchObject({ code: 'ABORTED' })
      }),
    )

    it(
      '4. it takes as many calls as it says, the next is refused at once',
      withWorker(async (worker) => {
        const open = upTo(takes, (i) => inferRow(worker, ask(i ? 'answer' : 'slow', i)))
        expect(worker.free).toBe(false)
        await expect(inferRow(worker, ask('answer', 3))).rejects.toMatchObject({ code: 'OVERLOADED' })
        expect((await Promise.all(open)).map((answer) => answer[0])).toEqual([1, 2, 3].slice(0, takes))
        expect(worker.free).toBe(true)
      }),
    )

    it(
      "5. the caller's buffer is neither detached nor changed",
      withWorker(async (worker) => {
        const whole = Float32Array.of(9, WHAT.answer, 5, 9)
        const row = whole.subarray(1, 3)
        expect([...(await inferRow(worker, row))]).toEqual([6, 10])
        expect([...whole]).toEqual([9, WHAT.answer, 5, 9])
      }),
    )

    it(
      '5. the caller owns an answer: its memory is used for no other',
      withWorker(async (worker) => {
        const [first, second] = [await inferRow(worker, ask('answer', 5)), await inferRow(worker, ask('answer', 6))]
        first.fill(0)
        expect([...second]).toEqual([7, 12])
      }),
    )

    it(
      '6. close rejects open calls and may be called twice',
      withWorker(async (worker) => {
        const open = inferRow(worker, ask('hangs'))
        const closed = worker.close()
        await expect(open).rejects.toMatchObject({ code: 'CLOSED' })
        await closed
        await worker.close()
        await expect(inferRow(worker, ask('answer'))).rejects.toMatchObject({ code: 'CLOSED' })
        expect(worker.free).toBe(false)
      }),
    )
  })
}
