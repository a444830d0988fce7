/** What is told of a query's attempts. */

import { expect, it } from 'vitest'
import { ApproxiferError } from '../../src/errors'
import type { AttemptOutcome } from '../../src/pool/attempt'
import { type Asked, newAsked, type Purpose } from '../../src/query/asked'
import { rowReports } from '../../src/query/prediction'
import { HandWorker } from '../shared/house'

const cancelled: AttemptOutcome<Float32Array> = { kind: 'cancelled' }
const stranded: AttemptOutcome<Float32Array> = {
  kind: 'failed',
  error: new ApproxiferError('WORKER', 'nobody is left'),
  blame: 'nobody',
  lost: undefined,
}

/** One that is over. @param worker  undefined where none had it */
function over(purpose: Purpose, outcome: AttemptOutcome<Float32Array>, worker?: HandWorker): Asked {
  return newAsked({ phase: 'settled', outcome, worker, ranMs: 7 } as never, purpose, 0)
}

it.each(['hedge', 'retry'] as const)('a %s that was taken back before a worker had it is not told', (purpose) => {
  expect(rowReports([over(purpose, cancelled)])).toEqual([])
  const told = [over(purpose, stranded), over(purpose, cancelled, new HandWorker('w'))]
  expect(rowReports(told).map(({ worker, ms, error }) => [worker, ms, error?.code])).toEqual([
    ['', 0, 'WORKER'],
    ['w', 7, 'ABORTED'],
  ])
})

it.each(['first', 'proof'] as const)('a %s that no worker had room for is told', (purpose) => {
  const [{ worker, outcome, error }] = rowReports([over(purpose, cancelled)])
  expect([worker, outcome, error?.code]).toEqual(['', 'failed', 'OVERLOADED'])
})
