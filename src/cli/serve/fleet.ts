/** `--workers`: where a model's workers are, as options of a predictor. What speaks to others is imported where it is used. */

import { readFile } from 'node:fs/promises'
import type { PredictorOptions } from '../../create'
import { expected, withoutPassword } from '../../errors'
import type { HttpOptions } from '../../workers/http'
import type { NatsOptions } from '../../workers/nats'
import { type Access, connectOptions } from '../nats'
import { isElsewhere, isFile, type ModelConfig, type Remote, WORKERS } from './config'

/**
 * @param name  of the model here, and at its workers unless `model` says otherwise
 * @param onWarning  told of what an operator should know
 */
export async function predictorOptions(
  name: string,
  { workers, remote = {}, model = name, ...options }: ModelConfig,
  onWarning: (text: string) => void,
): Promise<PredictorOptions & { version?: string }> {
  if (isElsewhere(workers)) {
    const where = typeof workers === 'string' ? workers.split(',') : (workers as readonly string[])
    return { ...options, onWarning, workers: await workersAt(where, model, remote, onWarning) }
  }
  if (Object.keys(remote).length) throw new TypeError('remote: expected none with workers of this process, got some')
  return { ...options, onWarning, model, ...(workers !== undefined && { workers: workers as number }) }
}

/** Whoever is at these addresses: they come and go while the server runs. */
async function workersAt(where: readonly string[], model: string, remote: Remote, onWarning: (text: string) => void) {
  const { creds, tlsCa, tlsCert, tlsKey, tokenFile, everyMs, ...options } = remote
  const [first = '', ...rest] = where
  if (/^(nats|tls|wss?):/.test(first)) {
    const access = { creds, tlsCa, tlsCert, tlsKey } as Access
    return natsFleet(where, model, access, { ...options, onWarning })
  }
  const { httpWorkers } = await import('../../workers/http-fleet')
  const { watchDns, watchFile } = await import('../../workers/discovery')
  const headers = typeof tokenFile === 'string' ? { authorization: await bearer(tokenFile) } : undefined
  const speaking = { ...(headers && { headers }), ...options, model, onWarning } as HttpOptions
  const watching = { onWarning, ...(everyMs !== undefined && { everyMs: everyMs as number }) }
  if (/^https?:/.test(first)) return httpWorkers([first, ...rest], speaking)
  const [, path] = /^file:(.+)$/.exec(first) ?? []
  const [, host, port] = /^dns:([\w.-]+):(\d+)$/.exec(first) ?? []
  if (path && !rest.length) return httpWorkers(watchFile(path, watching), speaking)
  if (host && !rest.length) return httpWorkers(watchDns(host, { ...watching, port: Number(port) }), speaking)
  throw new RangeError(expected('workers', WORKERS, where.map(withoutPassword).join()))
}

/** @param where  'nats://host:4222/FLEET', and further servers of the same cluster */
async function natsFleet(where: readonly string[], model: string, access: Access, options: Partial<NatsOptions>) {
  const { natsWorkers } = await import('../../workers/nats')
  const [, url, fleet] = /^(\w+:\/\/[^/]+)\/([\w-]+)$/.exec(where[0]) ?? []
  if (!fleet) throw new RangeError(expected('workers', 'nats://HOST:PORT/FLEET', withoutPassword(where[0])))
  const server = await connectOptions([url, ...where.slice(1)], access)
  // Workers say what their model is by its bytes, not by a name.
  return natsWorkers(server, { ...options, fleet, ...(isFile(model) && { model }) })
}

const bearer = async (file: string) => `Bearer ${(await readFile(file, 'utf8')).trim()}`
