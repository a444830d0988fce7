/** Which answers of a worker are audited: how many lies an identity may tell until one is, however rarely it lies. */

import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { AuditDraws } from '../../src/trust/audit-draws'

const [RATE, IDENTITIES] = [0.05, 1000]

/** Lies that each identity told when one was audited, the fewest first. */
function liesUntilCaught(share: number, seed: number): number[] {
  const [tossing, lying] = [seeded(seed), seeded(seed + 1)]
  const draws = new AuditDraws(RATE, tossing.next)
  const all = Array.from({ length: IDENTITIES }, (_, i) => {
    for (let lies = 0; ; ) {
      const isLie = lying.next() < share
      if (isLie) lies++
      if (draws.draw(`liar ${i}`) && isLie) return lies
    }
  })
  return all.sort((a, b) => a - b)
}

describe('an identity that lies', () => {
  it('in every answer has told 10 lies by the median when it is caught, and never more than 20', () => {
    const lies = liesUntilCaught(1, 1)
    expect(lies[IDENTITIES / 2]).toBeGreaterThanOrEqual(9)
    expect(lies[IDENTITIES / 2]).toBeLessThanOrEqual(12)
    expect(lies.at(-1)).toBeLessThanOrEqual(1 / RATE)
  })

  it.each([10, 100])(
    'one time in %i has told about 14 lies by the median when it is caught, and at most 59 at 95 %%',
    (rare) => {
      const lies = liesUntilCaught(1 / rare, rare)
      expect(lies[IDENTITIES / 2]).toBeGreaterThanOrEqual(11)
      expect(lies[IDENTITIES / 2]).toBeLessThanOrEqual(16)
      expect(lies[0.95 * IDENTITIES - 1]).toBeGreaterThanOrEqual(45)
      expect(lies[0.95 * IDENTITIES - 1]).toBeLessThanOrEqual(67)
    },
  )
})

it('audits the stated share of answers, whatever one over it is', () => {
  for (const rate of [1, 0.3, 0.05, 0.013]) {
    const draws = new AuditDraws(rate, seeded(3).next)
    const count = Array.from({ length: 100_000 }, () => draws.draw('w')).filter(Boolean).length
    expect(count / 100_000 / rate).toBeCloseTo(1, 1)
  }
})
