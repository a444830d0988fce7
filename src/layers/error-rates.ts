/** What a coin proves of wrong answers that were given: how often it must ask, and how much of a window that leaves. */

/**
 * A window has more wrong answers than its budget with this probability at most. It is below 5 % since all windows together are to keep the running
 * bound in 95 of 100 streams: against an adversary who chooses after each window the next budget and its detected errors, at most twice the one
 * before, they exceed the sum of their budgets at any time with 4.9 % (dynamic programming over windows, budgets, detected errors and what is
 * left). With .05 it would be 12 %, with .025 5.3 %.
 */
export const ALPHA = 0.0235
/** A reading (`mostGiven`) is exceeded with this probability at most. */
const READING = 0.05

/**
 * The lowest probability of heads with which more than `budget` wrong answers are given before the `errors`-th is detected with probability
 * ALPHA at most, whatever the queries are: P(Bin(budget + errors, a) < errors) <= ALPHA.
 */
export function auditRate(errors: number, budget: number): number {
  return bisect((a) => binomialBelow(errors, budget + errors, a) <= ALPHA)
}

/** P(Bin(count, a) < k). */
export function binomialBelow(k: number, count: number, a: number): number {
  if (a >= 1) return k > count ? 1 : 0
  let term = (1 - a) ** count
  let sum = 0
  for (let i = 0; i < k && i <= count; i++) {
    sum += term
    term *= ((count - i) / (i + 1)) * (a / (1 - a))
  }
  return Math.min(1, sum)
}

/** Of a Poisson distribution P(N >= k), and the mean of min(N, k). */
export function poisson(k: number, mean: number): { above: number; mean: number } {
  let term = Math.exp(-mean)
  let [below, sum] = [0, 0]
  for (let i = 0; i < k; i++) {
    below += term
    sum += i * term
    term *= mean / (i + 1)
  }
  const above = Math.max(0, 1 - below)
  return { above, mean: sum + k * above }
}

/** Which part of a window comes before the `errors`-th detected error in the mean, where as many as `mean` are to be expected in all of it. */
export function partBefore(errors: number, mean: number): number {
  return mean < 1e-6 ? 1 : Math.min(1, poisson(errors, mean).mean / mean)
}

/** The mean of a Poisson distribution that reaches `errors` with this probability. */
export function poissonMean(errors: number, probability: number): number {
  const most = 10 * errors + 10
  return most * bisect((part) => poisson(errors, part * most).above >= probability)
}

/** Upper bound on the wrong answers given where `caught` were caught, with a probability of 95 % (Clopper and Pearson, 1934). */
export function mostGiven(caught: number, rate: number): number {
  const isLikely = (count: number) => binomialBelow(caught + 1, count, rate) > READING
  let most = caught + 1
  while (isLikely(most)) most *= 2
  let least = most / 2
  while (most - least > 1) {
    const middle = Math.floor((least + most) / 2)
    if (isLikely(middle)) least = middle
    else most = middle
  }
  return Math.max(0, Math.floor(least) - caught)
}

/** The least x of 0..1 from which on it holds. */
function bisect(holds: (x: number) => boolean): number {
  let [below, above] = [0, 1]
  for (let i = 0; i < 50; i++) {
    const middle = (below + above) / 2
    if (holds(middle)) above = middle
    else below = middle
  }
  return above
}
