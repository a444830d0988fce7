import { FaultyWorker } from 'approxifer/testing'
import { expect, it } from 'vitest'
import { elsewhere, threads } from '../shared/threads'
import { inferRow } from '../shared/vectors'
import { ask, contract } from '../shared/worker-contract'

contract('threads behind FaultyWorker', {
  start: async () => new FaultyWorker((await threads())[0], {}, 1),
  deaths: ['dies', 'exits'],
})

contract('threads without restart, behind FaultyWorker, that take one call at a time', {
  start: async () => new FaultyWorker(elsewhere((await threads({ maxPending: 0 }))[0]), {}, 1),
  deaths: ['dies'],
  takes: 1,
})

it('a fault that kills fails the call where nobody can restart the worker', async () => {
  const worker = new FaultyWorker(elsewhere((await threads())[0]), { crash: 1 }, 1)
  await expect(inferRow(worker, ask('answer'))).rejects.toMatchObject({
    code: 'WORKER',
    message: /was killed by a fault/,
  })
  worker.faults = {}
  expect([worker.restart, worker.gone, ...(await inferRow(worker, ask('answer', 1)))]).toEqual([undefined, false, 2, 2])
  await worker.close()
})
