/**
 * The paper's rows with blocks of noise beside the queries, so that a worker alone learns little of them.
 * The authors' script WorkStation-MNIST.py, dp_encoder and dp_decoder: T Gaussian blocks of deviation 10.
 */

import { berrutWeights, queryNodes, weightedSum, workerNodes } from './algebra.js'

const [T, SIGMA] = [1, 10]

export const workers = (k, s) => k + T + s
export const needs = (k) => k + T

export function encode(queries, n, random) {
  const noise = Array.from({ length: T }, () => queries[0].map(() => SIGMA * random.gauss()))
  const nodes = queryNodes(queries.length + T)
  return workerNodes(n).map((z) => weightedSum(berrutWeights(nodes, z), [...queries, ...noise]))
}

export function decode(outputs, survivors, k, n) {
  const nodes = survivors.map((i) => workerNodes(n)[i])
  return queryNodes(k + T)
    .slice(0, k)
    .map((z) => weightedSum(berrutWeights(nodes, z), outputs))
}
