import { expect, it } from 'vitest'
import { RequestJournal } from '../../src/cli/serve/journal'
import type { PredictorEvent } from '../../src/events'

const [ONE, OTHER] = ['a', 'b'].map((id) => `00-${id.repeat(32)}-${id.repeat(16)}-00`)

it('tells of a request who was asked, why, and what came of it by then; once, and of no other request', () => {
  const journal = new RequestJournal()
  const hear = journal.listener()
  const told: PredictorEvent[] = [
    { at: 0, event: 'asked', query: 1, kind: 'query', traceparent: ONE },
    { at: 0, event: 'asked', query: 2, kind: 'query', traceparent: OTHER },
    { at: 0, event: 'asked', query: 3, kind: 'parity', mixes: [1, 2] },
    { at: 0, event: 'began', query: 1, attempt: 0, worker: 'w0', why: 'first' },
    { at: 9, event: 'hedged', query: 1, why: 'late' },
    { at: 9, event: 'began', query: 1, attempt: 1, worker: 'w1', why: 'hedge' },
    { at: 12, event: 'failed', query: 1, attempt: 1, worker: 'w1', ms: 3, code: 'WORKER' },
    { at: 20, event: 'recovered', query: 1, source: 'memory', why: 'late', confidence: 0.97 },
    { at: 20, event: 'ended', query: 1, ms: 20, status: 'recovered', confidence: 0.97, workers: [] },
  ]
  for (const event of told) hear(event)
  expect(journal.take(ONE)).toMatchObject([
    {
      query: 1,
      attempts: [
        { worker: 'w0', why: 'first', was: 'no answer yet' },
        { worker: 'w1', why: 'hedge', was: 'WORKER', ms: 3 },
      ],
      recovered: { source: 'memory', why: 'late' },
      ended: { status: 'recovered' },
    },
  ])
  hear({ at: 30, event: 'answered', query: 1, attempt: 0, worker: 'w0', ms: 30, onTime: false })
  expect([journal.take(ONE), journal.take(undefined)]).toEqual([[], []])
  expect(journal.take(OTHER)).toMatchObject([{ query: 2, attempts: [] }])
})

it('queries of a predictor that takes another’s place may have the same numbers', () => {
  const journal = new RequestJournal()
  const [before, after] = [journal.listener(), journal.listener()]
  before({ at: 0, event: 'asked', query: 1, kind: 'query', traceparent: ONE })
  after({ at: 1, event: 'asked', query: 1, kind: 'query', traceparent: OTHER })
  before({ at: 2, event: 'ended', query: 1, ms: 2, status: 'exact' })
  expect(journal.take(OTHER)[0].ended).toBeUndefined()
  expect(journal.take(ONE)[0].ended).toMatchObject({ status: 'exact' })
})

it('has no gap where a worker began with a later attempt, and with an earlier one never', () => {
  const journal = new RequestJournal()
  const hear = journal.listener()
  hear({ at: 0, event: 'asked', query: 1, kind: 'query', traceparent: ONE })
  hear({ at: 1, event: 'began', query: 1, attempt: 1, worker: 'w1', why: 'vote' })
  hear({ at: 2, event: 'failed', query: 1, attempt: 0, worker: undefined, ms: 0, code: 'ABORTED' })
  hear({ at: 3, event: 'answered', query: 1, attempt: 1, worker: 'w1', ms: 2, onTime: true })
  expect(journal.take(ONE)[0].attempts).toEqual([{ worker: 'w1', why: 'vote', was: 'answered', ms: 2 }])
})
