/** What goes wrong with a worker on purpose: how it is written, and what that means for one call. */

import { checkNames, checkShare, checkString, expected, MOST_MS } from '../check'
import type { Random } from '../random'
import { parseAttack } from './attacks'

/** Shares are probabilities per call, 0 by default. */
export interface Faults {
  /** Added to every answer; a pair is a range to draw from. The worker is at work meanwhile, on one call at a time. */
  delayMs?: number | readonly [number, number]
  /** Share of calls that never settle (until aborted, or the worker is restarted). */
  hang?: number
  /** Share of calls in which the worker is killed: it dies and starts again as after a real crash; without `restart` they fail. */
  crash?: number
  /** Share of answers that are NaN throughout. */
  garbage?: number
  /** Share of answers that are lies, told by `attack`. */
  lie?: number
  /** See `attackForms`. Default 'gauss:10'. */
  attack?: string
}

const shares = ['hang', 'crash', 'garbage', 'lie'] as const

/** @throws TypeError, RangeError for wrong ones */
export function checkFaults(faults: Faults): void {
  checkNames('faults', faults, [...shares, 'delayMs', 'attack'])
  for (const name of shares) checkShare(`faults.${name}`, faults[name] ?? 0, 'a share')
  const { delayMs = 0, attack = 'flip' } = faults
  const range = typeof delayMs === 'number' ? [delayMs, delayMs] : Array.isArray(delayMs) ? delayMs : []
  if (range.length !== 2 || !range.every((ms) => ms >= 0 && ms <= MOST_MS) || range[0] > range[1]) {
    throw new RangeError(expected('faults.delayMs', 'milliseconds, or the least and the most of a range', delayMs))
  }
  parseAttack(checkString('faults.attack', attack))
}

/** The faults of one call. Five numbers are drawn whatever they are, so that a seed means the same for all. */
export function drawFaults(faults: Faults, random: Random) {
  const { delayMs = 0, hang = 0, crash = 0, garbage = 0, lie = 0, attack = 'gauss:10' } = faults
  const [hangs, crashes, delay, spoils, lies] = Array.from({ length: 5 }, () => random.next())
  const lieOf = parseAttack(attack)
  return {
    hangs: hangs < hang,
    crashes: crashes < crash,
    delayMs: typeof delayMs === 'number' ? delayMs : delayMs[0] + delay * (delayMs[1] - delayMs[0]),
    /** What is given in the place of an answer, which may be changed. */
    told(answer: Float32Array): Float32Array {
      if (spoils < garbage) return answer.fill(Number.NaN)
      return lies < lie ? lieOf([answer], random)[0] : answer
    },
  }
}
