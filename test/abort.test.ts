import { describe, expect, it, vi } from 'vitest'
import { abortOf, CallOptions, Cancellation, onAbort, orAborted } from '../src/base/abort'
import { CallQueue } from '../src/workers/local/queue'
import { listOf } from './shared/vectors'

describe('aborts', () => {
  it('listeners hear it once, those that were taken back do not', () => {
    const abort = new AbortController()
    const [stays, gone] = [vi.fn(), vi.fn()]
    onAbort(abort.signal, stays)
    onAbort(abort.signal, gone)()
    abort.abort()
    abort.abort()
    expect([stays.mock.calls.length, gone.mock.calls.length]).toEqual([1, 0])
  })

  it('a cancellation tells as a signal does, and has one for who asks, before and after', () => {
    const [early, late] = [new Cancellation(), new Cancellation()]
    const { signal } = early
    const [stays, gone] = [vi.fn(), vi.fn()]
    onAbort(early, stays)
    onAbort(early, gone)()
    for (const each of [early, late]) {
      each.abort('first')
      each.abort('second')
      expect([each.aborted, each.reason]).toEqual([true, 'first'])
      expect(() => each.throwIfAborted()).toThrow('first')
    }
    expect([stays.mock.calls.length, gone.mock.calls.length]).toEqual([1, 0])
    expect([signal.reason, late.signal.reason, late.signal.aborted]).toEqual(['first', 'first', true])
    const plain = new Cancellation()
    plain.abort()
    expect(plain.reason).toMatchObject({ name: 'AbortError' })
  })

  it('what a worker is told has its signal in a copy, too, and makes none for who only listens', () => {
    const made = vi.fn(() => new Cancellation())
    const options = new CallOptions({
      get cancellation() {
        return made()
      },
    })
    expect(made).not.toHaveBeenCalled()
    expect(abortOf(options)).toBeInstanceOf(Cancellation)
    expect({ ...options }.signal).toBeInstanceOf(AbortSignal)
    expect(abortOf({})).toBe(undefined)
  })

  it('work that has ended leaves no listener on a signal that lives on', async () => {
    const stop = new Cancellation()
    const forget = vi.fn()
    vi.spyOn(stop, 'listen').mockReturnValue(forget)
    expect(await orAborted(stop, Promise.resolve(1))).toBe(1)
    await expect(orAborted(stop, Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(forget).toHaveBeenCalledTimes(2)
  })

  it('a call that waits leaves the queue and makes room', async () => {
    const queue = new CallQueue(() => new Promise(() => {}), 2)
    for (const x of [1, 2]) void queue.push([listOf(Float32Array.of(x))]) // the worker has both
    const abort = new AbortController()
    const [waits] = queue.push([listOf(Float32Array.of(3))], [abort.signal])
    expect(queue.full).toBe(true)
    abort.abort()
    await expect(waits).rejects.toMatchObject({ code: 'ABORTED', cause: { name: 'AbortError' } })
    expect(queue.full).toBe(false)
  })
})
