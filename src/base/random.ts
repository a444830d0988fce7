/** Seeded random numbers: the same seed gives the same run on every machine. */

export interface Random {
  /** Uniform in [0, 1). */
  next(): number
  /** A whole number in 0 .. n-1. */
  below(n: number): number
  /** Standard normal. */
  gauss(): number
  /** `count` different numbers of 0 .. n-1, in random order. */
  choose(n: number, count: number): number[]
}

/** mulberry32 (Tommy Ettinger, 2017): 32 bits of state, plenty for simulations. */
export function seeded(seed: number): Random {
  let state = seed | 0
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (n: number) => Math.floor(next() * n)
  return {
    next,
    below,
    gauss() {
      // Marsaglia's polar method; the second value is not kept, so that the state is one number.
      while (true) {
        const [x, y] = [2 * next() - 1, 2 * next() - 1]
        const square = x * x + y * y
        if (square > 0 && square < 1) return x * Math.sqrt((-2 * Math.log(square)) / square)
      }
    },
    choose(n, count) {
      const all = Array.from({ length: n }, (_, i) => i)
      for (let i = 0; i < count; i++) {
        const j = i + below(n - i)
        ;[all[i], all[j]] = [all[j], all[i]]
      }
      return all.slice(0, count)
    },
  }
}

/** Uniform in [0, 1), and unpredictable. */
export const secret = (): number => crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32
