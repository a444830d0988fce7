/** How workers lie, for tests, benches and demonstrations. */

import type { Random } from '../random'

/** The lies that a set of liars in one group tells in place of its answers; fresh rows. */
export type Attack = (answers: readonly Float32Array[], random: Random) => Float32Array[]

const attacks: Record<string, (strength: number) => Attack> = {
  /** Adds Gaussian noise of this standard deviation. */
  gauss: (sigma) => (answers, random) => answers.map((y) => y.map((value) => value + sigma * random.gauss())),
  /** Changes every sign. */
  flip: () => (answers) => answers.map((y) => y.map((value) => -value)),
  /** Swaps the two largest values. */
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
