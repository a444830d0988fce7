/** What other systems call options: errors and the search of the site translate these words. */

import type { OtherWord } from '../base/check'

export const synonyms: Readonly<Record<string, readonly string[]>> = {
  model: ['path', 'file', 'url', 'modelPath'],
  workers: ['concurrency', 'threads', 'replicas', 'poolSize', 'urls', 'endpoints', 'servers', 'hosts'],
  scheme: ['code', 'coding', 'parity', 'redundancy'],
  'scheme.queries': ['k', 'groupSize', 'dataShards'],
  'scheme.stragglers': ['parityShards'],
  'scheme.byzantine': ['faults', 'liars'],
  policy: ['retry', 'retries', 'maxRetries', 'attempts', 'fallback'],
  deadlineMs: ['timeout', 'timeoutMs', 'requestTimeout'],
  maxWaitMs: ['batchTimeout', 'batchDelay', 'maxDelay'],
  hangMs: ['workerTimeout'],
  hedge: ['hedging', 'hedges', 'hedgeDelay', 'backupRequests'],
  verify: ['quorum', 'voting', 'consensus'],
  right: ['tolerance', 'metric', 'criterion'],
  reuse: ['cache', 'caching'],
  'reuse.exact': ['dedupe', 'deduplicate'],
  'reuse.bytes': ['cacheSize'],
  'limits.queries': ['maxConcurrency', 'maxInFlight', 'queueSize', 'maxQueue'],
  'limits.batch': ['batchSize', 'maxBatch', 'maxBatchSize'],
  onOverload: ['loadShedding'],
  'rollout.shadow': ['mirror'],
  onnx: ['sessionOptions', 'ort'],
  'onnx.inputShapes': ['shapes'],
  'onnx.providers': ['executionProviders', 'device', 'gpu'],
  layers: ['middleware', 'plugins'],
  onWarning: ['logger', 'log'],
  onEvent: ['metrics', 'hooks'],
}

/** The words with what to write for each. @param under  where the options stand, such as 'models.NAME.' of a configuration file */
export const synonymWords = (under = ''): OtherWord[] =>
  Object.entries(synonyms).flatMap(([path, words]) => words.map((word): OtherWord => [word, `'${under}${path}'`]))
