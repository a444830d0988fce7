/** Whose fault it is that an attempt failed. */

import { expect, it } from 'vitest'
import { ApproxiferError, type Code } from '../../src/errors'
import { blameFor } from '../../src/pool/attempt'
import { BatchWorker } from '../shared/batch-worker'

it.each([
  ['nobody’s where the worker was gone before it was asked', 'OVERLOADED', true, 'nobody'],
  ['its own where it took too much upon itself', 'OVERLOADED', false, 'worker'],
  ['its own where it left at work', 'WORKER', true, 'worker'],
] as const)('%s', (_, code: Code, gone, blame) => {
  expect(blameFor(new ApproxiferError(code, 'it failed'), Object.assign(new BatchWorker('w'), { gone }))).toBe(blame)
})
