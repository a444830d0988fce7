/** What goes wrong with a worker on purpose: how it is written, what that means for one call, and how workers lie. */

import { checkNames, checkShare, checkString, expected, MOST_MS } from '../base/check'
import type { Random } from '../base/random'

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
    answered(answer: Float32Array): Float32Array {
      if (spoils < garbage) return answer.fill(Number.NaN)
      return lies < lie ? lieOf([answer], random)[0] : answer
    },
  }
}

/** The lies that a set of liars in one group tells in place of its answers; fresh rows. */
export type Attack = (answers: readonly Float32Array[], random: Random) => Float32Array[]

const attacks: Record<string, (strength: number) => Attack> = {
  /** Adds Gaussian noise of this standard deviation. */
  gauss: (sigma) => (answers, random) => answers.map((y) => y.map((value) => value + sigma * random.gauss())),
  flip: () => (answers) => answers.map((y) => y.map((value) => -value)),
  swap: () => (answers) =>
    answers.map((y) => {
      const [first, second] = [...y.keys()].sort((a, b) => y[b] - y[a])
      const lie = y.slice()
      if (second !== undefined) [lie[first], lie[second]] = [y[second], y[first]]
      return lie
    }),
  /** Zeros, with one class raised to this. */
  constant: (height) => (answers, random) =>
    answers.map((y) => new Float32Array(y.length).fill(height, ...oneOf(random.below(y.length)))),
  /** All liars of a group add the same Gaussian vector. */
  collude: (sigma) => (answers, random) => {
    const shared = Array.from(answers[0] ?? [], () => sigma * random.gauss())
    return answers.map((y) => y.map((value, i) => value + shared[i]))
  },
}

const defaults: Record<string, number> = { gauss: 10, constant: 20, collude: 10 }

export const attackForms = 'gauss:SIGMA | flip | swap | constant[:HEIGHT] | collude[:SIGMA]'

/** @throws RangeError for a name that is none of `attackForms` */
export function parseAttack(text: string): Attack {
  const [name, strength = defaults[name] ?? 0, ...more] = text.split(':')
  const make = Object.hasOwn(attacks, name) ? attacks[name] : undefined
  if (!make || more.length || !Number.isFinite(Number(strength)) || strength === '') {
    throw new RangeError(`attack: expected ${attackForms}, got ${JSON.stringify(text)}`)
  }
  return make(Number(strength))
}

const oneOf = (i: number): [number, number] => [i, i + 1]
