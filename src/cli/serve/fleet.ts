/** `--workers`: where a model's workers are, as options of a predictor. Each kind is imported where it is used. */

import type { PredictorOptions } from '../../create'
import { expected } from '../../errors'
import { isElsewhere, type ModelConfig, WORKERS } from './config'

/** @param name  of the model here, and at its workers unless `model` says otherwise */
export async function predictorOptions(
  name: string,
  config: ModelConfig,
): Promise<PredictorOptions & { version?: string }> {
  const { workers, remote, model = name, ...options } = config
  if (!isElsewhere(workers)) {
    if (remote) throw new TypeError(expected(`${name}: remote`, 'none with workers of this process', 'some'))
    return { ...options, model, ...(workers !== undefined && { workers: workers as number }) } as PredictorOptions
  }
  return {
    ...options,
    workers: await workersAt(workers as string | readonly string[], { model, ...remote }),
  } as PredictorOptions
}

/** Whoever is at these addresses: they come and go while the server runs. */
async function workersAt(where: string | readonly string[], options: { model: string }) {
  const [first, ...rest] = typeof where === 'string' ? where.split(',') : where
  const [scheme] = /^[a-z]+:/.exec(first ?? '') ?? []
  if (scheme === 'nats:' || scheme === 'tls:' || scheme === 'ws:' || scheme === 'wss:') {
    const { natsWorkers } = await import('../../workers/nats')
    const { fleet, servers } = natsAddress(first, rest)
    return natsWorkers(servers, { fleet, ...options })
  }
  const { httpWorkers, watchDns, watchFile } = await import('../../workers/http')
  if (scheme === 'http:' || scheme === 'https:') return httpWorkers([first, ...rest], options)
  if (scheme === 'file:' && !rest.length) return httpWorkers(watchFile(first.slice('file:'.length)), options)
  const [, host, port] = /^dns:([\w.-]+):(\d+)$/.exec(first ?? '') ?? []
  if (host && !rest.length) return httpWorkers(watchDns(host, { port: Number(port) }), options)
  throw new RangeError(expected('workers', WORKERS, where))
}

/** 'nats://host:4222/FLEET', and further servers of the same. */
function natsAddress(first: string, rest: readonly string[]): { servers: string; fleet: string } {
  const url = new URL(first)
  const fleet = url.pathname.slice(1)
  if (!/^[\w-]+$/.test(fleet)) throw new RangeError(expected('workers', 'nats://HOST:PORT/FLEET', first))
  url.pathname = ''
  return { servers: [url.href, ...rest].join(','), fleet }
}
