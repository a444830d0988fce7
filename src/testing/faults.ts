/** Faults that a test injects into a worker: their options, their effect on a call, and forms of lies. */

import { checkNames, checkShare, checkString, expected, MOST_MS } from '../base/check'
import type { Random } from '../base/random'

/** Shares are probabilities per call; default 0. */
export interface Faults {
  /** Delay of every answer; a pair is a range to draw from. The worker is busy meanwhile, with one call at a time. */
  delayMs?: number | readonly [number, number]
  /** Share of calls that never settle (until aborted, or until the worker is restarted). */
  hang?: number
  /** Share of calls that kill the worker: it restarts as after a real crash; a worker without `restart` fails the call. */
  crash?: number
  /** Share of answers that consist of NaN. */
  garbage?: number
  /** Share of answers that are lies, made by `attack`. */
  lie?: number
  /** 'gauss:SIGMA', 'flip', 'swap', 'constant[:HEIGHT]' or 'collude[:SIGMA]'. Default 'gauss:10'. */
  attack?: string
}

const shares = ['hang', 'crash', 'garbage', 'lie'] as const

/** @throws TypeError, RangeError for invalid ones */
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

/** The faults of one call. Always draws five numbers, so that a seed gives the same sequence whatever the faults are. */
export function drawFaults(faults: Faults, random: Random) {
  const { delayMs = 0, hang = 0, crash = 0, garbage = 0, lie = 0, attack = 'gauss:10' } = faults
  const [hangs, crashes, delay, spoils, lies] = Array.from({ length: 5 }, () => random.next())
  const lieOf = parseAttack(attack)
  return {
    hangs: hangs < hang,
    crashes: crashes < crash,
    delayMs: typeof delayMs === 'number' ? delayMs : delayMs[0] + delay * (delayMs[1] - delayMs[0]),
    /** Replaces an answer, which it may overwrite. */
    answered(answer: Float32Array): Float32Array {
      if (spoils < garbage) return answer.fill(Number.NaN)
      return lies < lie ? lieOf([answer], random)[0] : answer
    },
  }
}

/** The lies of a group's liars in place of their answers; new rows. */
export type Attack = (answers: readonly Float32Array[], random: Random) => Float32Array[]

const attacks: Record<string, (strength: number) => Attack> = {
  /** Adds Gaussian noise with this standard deviation. */
  gauss: (sigma) => (answers, random) => answers.map((y) => y.map((value) => value + sigma * random.gauss())),
  flip: () => (answers) => answers.map((y) => y.map((value) => -value)),
  swap: () => (answers) =>
    answers.map((y) => {
      const [first, second] = [...y.keys()].sort((a, b) => y[b] - y[a])
      const lie = y.slice()
      if (second !== undefined) [lie[first], lie[second]] = [y[second], y[first]]
      return lie
    }),
  /** Zeros, with one class raised to this value. */
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

/** @throws RangeError unless it is one of `attackForms` */
export function parseAttack(text: string): Attack {
  const [name, strength = defaults[name] ?? 0, ...more] = text.split(':')
  const make = Object.hasOwn(attacks, name) ? attacks[name] : undefined
  if (!make || more.length || !Number.isFinite(Number(strength)) || strength === '') {
    throw new RangeError(`attack: expected ${attackForms}, got ${JSON.stringify(text)}`)
  }
  return make(Number(strength))
}

const oneOf = (i: number): [number, number] => [i, i + 1]
