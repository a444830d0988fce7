/** What people call options in other libraries: a search finds both words. */

/** Words of the index for a word of a search. The site has this function as text, so its table is inside. */
export function withSynonyms(word: string): string[] {
  const names: Record<string, string> = {
    timeout: 'deadlineMs',
    timeoutms: 'deadlineMs',
    ttl: 'deadlineMs',
    retries: 'retry',
    replicas: 'workers',
    concurrency: 'workers',
    threads: 'workers',
    instances: 'workers',
    redundancy: 'stragglers',
    adversaries: 'byzantine',
    malicious: 'byzantine',
    speculative: 'hedge',
    threshold: 'minConfidence',
    batchsize: 'limits.batch',
    ratelimit: 'limits.queries',
    maxqueue: 'limits.queries',
    backpressure: 'onOverload',
    fallback: 'atDeadline',
    cache: 'reuse',
    canary: 'rollout',
  }
  const term = word.toLowerCase()
  return [term, ...(Object.hasOwn(names, term) ? names[term].toLowerCase().split('.') : [])]
}
