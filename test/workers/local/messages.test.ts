/** Queries on their way to a thread, which here is an object that answers when the test says so. */

import type { Endpoint } from 'comlink'
import { expect, it } from 'vitest'
import type { TensorList } from '../../../src/base/tensor'
import { ThreadCaller } from '../../../src/workers/local/messages'
import { listOf } from '../../shared/vectors'

const LARGE = 10_000

/** @returns each message, as the thread sees it, and how to answer the next one */
function thread(isShared = true) {
  let hear: (event: unknown) => void = () => {}
  const seen: { batch: TensorList; count: number }[] = []
  let [answered, made] = [0, 0]
  const endpoint = {
    postMessage: (message: (typeof seen)[number]) => seen.push(isShared ? message : structuredClone(message)),
    addEventListener: (_: string, listener: typeof hear) => {
      hear = listener
    },
  } as unknown as Endpoint
  const signature = { inputs: [{ name: 'x', shape: [LARGE] }], outputs: [{ name: 'y', shape: [1] }] }
  const caller = new ThreadCaller(endpoint, signature, (bytes) => {
    made++
    return isShared ? new SharedArrayBuffer(bytes) : undefined
  })
  /** With the first value of each row. */
  const answer = () => {
    const { batch, count } = seen[answered++]
    const [{ data: all }] = batch
    const length = all.length / count
    const data = Float32Array.from({ length: count }, (_, i) => all[i * length] as number)
    hear({ data: { reply: { value: [{ data, shape: [count, 1] }] } } })
  }
  return { caller, seen, answer, made: () => made }
}

const row = (x: number, length = LARGE) => listOf(new Float32Array(length).fill(x))
const values = async (replies: Promise<unknown>) =>
  ((await replies) as { value: TensorList }[]).flatMap(({ value }) => [...(value[0].data as Float32Array)])

it.each([true, false])(
  'what the caller does with large queries after he asked changes no answer (shared: %s)',
  async (isShared) => {
    const { caller, answer } = thread(isShared)
    const own = [row(1), row(2), row(3)]
    const asked = [caller.run(own.slice(0, 1)), caller.run(own.slice(1))]
    for (const [{ data }] of own) (data as Float32Array).fill(9)
    answer()
    answer()
    expect([await values(asked[0]), await values(asked[1])]).toEqual([[1], [2, 3]])
  },
)

it('a message gets memory that no other under way is in, and as little is made as that takes', async () => {
  const { caller, seen, answer, made } = thread()
  for (let i = 0; i < 20; i += 2) {
    const asked = [caller.run([row(i)]), caller.run([row(i + 1)])]
    answer()
    answer()
    expect([await values(asked[0]), await values(asked[1])]).toEqual([[i], [i + 1]])
  }
  expect([made(), new Set(seen.map(({ batch }) => (batch[0].data as Float32Array).buffer)).size]).toEqual([2, 2])
})

it('small tensors are sent as they are, a part of a larger buffer without the rest', async () => {
  const { caller, seen, made } = thread()
  void caller.run([row(1, 100)])
  void caller.run([listOf(new Float32Array(200).subarray(0, 100))])
  expect([seen.map(({ batch }) => (batch[0].data as Float32Array).buffer.byteLength), made()]).toEqual([[400, 400], 0])
})

it('what one query has in shared memory already is sent as it is, and never lent to others; in a batch it is copied', async () => {
  const { caller, seen, answer, made } = thread()
  const shared = () => new Float32Array(new SharedArrayBuffer(4 * LARGE), 0, LARGE).fill(1)
  const own = [shared(), shared()]
  const alone = caller.run([listOf(own[0])])
  answer()
  expect(await values(alone)).toEqual([1])
  void caller.run([row(2)])
  void caller.run(own.map(listOf))
  const [first, other, both] = seen.map(({ batch }) => (batch[0].data as Float32Array).buffer)
  expect(first).toBe(own[0].buffer)
  for (const each of [other, both]) expect(own.map(({ buffer }) => buffer)).not.toContain(each)
  expect(made()).toBe(2)
})
