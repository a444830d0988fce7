import { describe, expect, it, vi } from 'vitest'
import { Abort, onAbort } from '../src/abort'
import { CallQueue } from '../src/workers/queue'

describe('Abort', () => {
  it('its signal fires, whenever somebody looks at it', () => {
    const early = new Abort()
    const { signal } = early
    expect([signal.aborted, early.signal === signal]).toEqual([false, true])
    early.abort()
    expect(signal.aborted).toBe(true)
    const late = new Abort()
    late.abort()
    expect(late.signal.aborted).toBe(true)
  })

  it('listeners hear it once, those that were taken back do not', () => {
    const abort = new Abort()
    const [stays, gone] = [vi.fn(), vi.fn()]
    onAbort(abort, stays)
    onAbort(abort, gone)()
    abort.abort()
    abort.abort()
    expect([stays.mock.calls.length, gone.mock.calls.length]).toEqual([1, 0])
  })

  it('a call that waits leaves the queue and makes room', async () => {
    const queue = new CallQueue(() => new Promise(() => {}), [], 1)
    void queue.push(Float32Array.of(1))
    const abort = new Abort()
    const waits = queue.push(Float32Array.of(2), abort)
    expect(queue.full).toBe(true)
    abort.abort()
    await expect(waits).rejects.toMatchObject({ code: 'ABORTED', cause: { name: 'AbortError' } })
    expect(queue.full).toBe(false)
  })
})
