/** The rival: a query of a hedge that a good engineer writes. */

import { expect, it } from 'vitest'
import { ApproxiferError } from '../../src/base/errors'
import { ByHand } from '../../src/film/by-hand'
import { VirtualClock } from '../../src/testing/virtual-clock'
import { HandWorker } from '../shared/hand-predictor'

const lost = () => new ApproxiferError('WORKER', 'connection refused')

function asked(options = {}) {
  const workers = ['a', 'b', 'c'].map((name) => new HandWorker(name))
  const hand = new ByHand(new VirtualClock(), workers, options)
  const answer = hand.ask(Float32Array.of(1, 2))
  /** The worker that has been asked and has not answered, asked first. */
  const next = async () => {
    await new Promise(setImmediate)
    return workers.find(({ calls }) => calls.length) as HandWorker
  }
  return { answer, next }
}

it('a query that fails is asked once more, at another worker', async () => {
  const { answer, next } = asked()
  const first = await next()
  first.calls[0].fail(lost())
  const second = await next()
  expect(second.name).not.toBe(first.name)
  second.calls[0].answer(Float32Array.of(3, 4))
  expect([...(await answer)]).toEqual([3, 4])
})

it('a query that fails twice fails', async () => {
  const { answer, next } = asked()
  const refused = expect(answer).rejects.toThrow('connection refused')
  for (let time = 0; time < 2; time++) (await next()).calls[0].fail(lost())
  await refused
})

it('a query of two copies and two votes is answered though one copy fails', async () => {
  const { answer, next } = asked({ copies: 2, votes: 2 })
  ;(await next()).calls[0].fail(lost())
  for (let time = 0; time < 2; time++) (await next()).calls[0].answer(Float32Array.of(3, 4))
  expect([...(await answer)]).toEqual([3, 4])
})
