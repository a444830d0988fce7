import { describe, expect, it, vi } from 'vitest'
import { onAbort } from '../src/abort'
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
