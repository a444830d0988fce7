/** What a stranger's word is worth. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { answersFor, checkShare, credibility, originOf } from '../../src/trust/credibility'

const integrities = fc.integer({ min: 0, max: 9999 }).map((share) => share / 10_000)

describe('credibility', () => {
  it('of a newcomer is 0, grows with each right answer, and never reaches 1', () => {
    expect(credibility(0)).toBe(0)
    fc.assert(
      fc.property(fc.nat(1e9), fc.nat(10), (right, lies) => {
        expect(credibility(right + 1, lies)).toBeGreaterThanOrEqual(credibility(right, lies))
        expect(credibility(right, lies)).toBeLessThan(1)
        expect(credibility(right, lies + 1)).toBeLessThanOrEqual(credibility(right, lies))
      }),
    )
  })

  it('is enough after so many right answers, and not before', () => {
    expect(answersFor(0.999)).toBe(1000)
    expect(answersFor(0.999, 3)).toBe(8000)
    expect(answersFor(1)).toBe(2 ** 40)
    fc.assert(
      fc.property(integrities, fc.nat(10), (integrity, lies) => {
        const needed = answersFor(integrity, lies)
        expect(credibility(needed, lies)).toBeGreaterThanOrEqual(integrity - 1e-9)
        expect(credibility(needed - 1, lies)).toBeLessThan(integrity + 1e-9)
      }),
    )
  })
})

describe('quizzes', () => {
  /**
   * The wrong answers to expect of an identity that lies where this says so, and the right ones that it is credited with; whether a row is a quiz
   * it cannot know. Wrong answers that are given count for it as right ones do.
   */
  function expected(lies: readonly boolean[], needed: number, credited = 0) {
    let [free, wrong, right, count] = [1, 0, 0, credited]
    for (const isLie of lies) {
      const quiz = checkShare(count++, needed)
      if (isLie) free *= 1 - quiz
      if (isLie) wrong += free
      else right += free
    }
    return { wrong, right }
  }

  it('leave no order of lies and right answers with more wrong ones than its right ones allow', () => {
    for (const needed of [1, 2, 5, 20]) {
      for (let order = 0; order < 2 ** 14; order++) {
        const lies = Array.from({ length: 14 }, (_, i) => Boolean((order >> i) & 1))
        const { wrong, right } = expected(lies, needed)
        expect(wrong * needed).toBeLessThanOrEqual(right + 1e-9)
      }
    }
  })

  it('let who turns to lies have just as many given as it has earned', () => {
    const lies = Array.from({ length: 60_000 }, () => true)
    for (const credited of [100, 1000, 20_000]) {
      const { wrong } = expected(lies, 1000, credited)
      expect(wrong).toBeCloseTo(credited / 1000, 6)
    }
  })

  it('are all that a newcomer gets, and fewer the more it has answered', () => {
    expect(checkShare(0, 1000)).toBe(1)
    expect(checkShare(1000, 1000)).toBeCloseTo(0.5, 3)
    expect(checkShare(20_000, 1000)).toBeCloseTo(0.048, 3)
  })
})

describe('the origin of a worker', () => {
  it('is the /24 or /56 of a public address', () => {
    for (const [address, origin] of [
      ['203.0.113.7', '203.0.113.0/24'],
      ['::ffff:203.0.113.9', '203.0.113.0/24'],
      ['2001:db8:1:2ff::1', '2001:0db8:0001:0200::/56'],
      ['2001:db8:1:200:a:b:c:d', '2001:0db8:0001:0200::/56'],
      ['[2001:db8:1:3aa::7]', '2001:0db8:0001:0300::/56'],
    ]) {
      expect(originOf(address, 'key')).toBe(origin)
    }
  })

  it('is its identity where the address is private or none is known, and else what is said', () => {
    for (const address of [
      '10.1.2.3',
      '192.168.0.9',
      '172.20.1.1',
      '127.0.0.1',
      '169.254.3.3',
      '100.64.0.1',
      '::1',
      'fe80::1%eth0',
      'fd00::8',
      '',
      undefined,
    ]) {
      // biome-ignore format: one line
      expect(originOf(address, 'key')).toBe('key')
    }
    expect(originOf('172.32.1.1', 'key')).toBe('172.32.1.0/24')
    expect(originOf('the library', 'key')).toBe('the library')
  })
})
