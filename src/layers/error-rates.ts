/** Statistics of random audits: the audit rate that a budget needs, and how much of a window it leaves. */

/**
 * Probability with which a window may have more wrong answers than its budget. It is below 5 % because all windows together must keep the
 * running bound in 95 of 100 streams. An adversary who chooses each window's budget, up to twice the one before, and its allowed errors,
 * exceeds the sum of the budgets at any time with a probability of 4.9 % (dynamic programming over windows, budgets and errors). With .05
 * it would be 12 %, with .025 5.3 %.
 */
export const ALPHA = 0.0235
/** Probability with which the upper bound of `mostGiven` may be exceeded. */
const READING = 0.05

/**
 * The least audit rate at which, for any stream of queries, more than `budget` wrong answers are given before the `errors`-th is detected
 * with a probability of at most ALPHA: P(Bin(budget + errors, a) < errors) <= ALPHA.
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

/** P(N >= k) and the mean of min(N, k) for a Poisson-distributed N. */
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

/** Mean part of a window that comes before the `errors`-th detected error, if the whole window would have `mean` of them. */
export function partBefore(errors: number, mean: number): number {
  return mean < 1e-6 ? 1 : Math.min(1, poisson(errors, mean).mean / mean)
}

/** The mean of a Poisson distribution that reaches `errors` with the given probability. */
export function poissonMean(errors: number, probability: number): number {
  const most = 10 * errors + 10
  return most * bisect((part) => poisson(errors, part * most).above >= probability)
}

/** Upper bound, with a probability of 95 %, on the wrong answers given if `caught` errors were detected (Clopper and Pearson, 1934). */
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

/** The least x in 0..1 for which a monotonic condition holds. */
function bisect(holds: (x: number) => boolean): number {
  let [below, above] = [0, 1]
  for (let i = 0; i < 50; i++) {
    const middle = (below + above) / 2
    if (holds(middle)) above = middle
    else below = middle
  }
  return above
}
