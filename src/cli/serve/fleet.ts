/** `--workers`: where a model's workers are, as options of a predictor. What speaks to others is imported where it is used. */

import { checkNames, expected } from '../../base/check'
import { withoutPassword } from '../../base/errors'
import type { PredictorOptions } from '../../predictor/options'
import type { HttpOptions } from '../../workers/http/options'
import { localWorkers } from '../../workers/local/local'
import { addressesIn, SCHEME } from '../../workers/nats/connection'
import { type NatsOptions, natsOptions } from '../../workers/nats/fleet'
import type { ModelWorker, WorkerChanges } from '../../workers/worker'
import { checkModelFile, readNamed } from '../files'
import { type Access, connectOptions, exposedPassword, natsAccess } from '../nats'
import { isElsewhere, isFile, isUrl, type ModelConfig, type Remote, WORKERS } from './config'

/**
 * @param name  of the model here, and at its workers unless `model` says otherwise; `remote.model` where that is a file, for threads of this process
 * @param signal  gives up waiting for workers elsewhere, and threads that are loading: fires before a predictor has them, or never
 */
export async function predictorOptions(
  name: string,
  { workers, remote = {}, model = name, ...options }: ModelConfig,
  onWarning: (text: string) => void,
  signal: AbortSignal,
): Promise<PredictorOptions & { version?: string }> {
  if (isElsewhere(workers)) {
    const all = typeof workers === 'string' ? addresses(workers) : (workers as readonly unknown[]).map(String)
    const threads = Number(all[0]) || needsTrusted(options, remote)
    const where = Number(all[0]) ? all.slice(1) : all
    if (threads) await checkOwn(model)
    const { onnx = {}, ...rest } = options
    const { outputs, inputShapes: shapes, ...own } = onnx
    const asked = { ...(outputs && { outputs }), ...(shapes && { shapes }), ...(threads && { model: name }), ...remote }
    const others = await workersAt(where, model, threads && SCHEME.test(where[0]) ? remote : asked, onWarning)
    const start = () =>
      localWorkers({ rounding: options.verify?.rounding, ...onnx, model, workers: threads, onWarning, signal })
    const changes = threads ? await beside(others, start) : others
    const end = () => void changes[Symbol.asyncIterator]().return?.()
    if (signal.aborted) end()
    signal.addEventListener('abort', end)
    return { ...rest, ...(!threads && Object.keys(own).length && { onnx: own }), onWarning, workers: changes }
  }
  if (!isUrl(model)) await checkModelFile(model)
  if (Object.keys(remote).length) throw new TypeError('remote: expected none with workers of this process, got some')
  return {
    ...options,
    onnx: { ...options.onnx, signal },
    onWarning,
    model,
    ...(workers !== undefined && { workers: workers as number }),
  }
}

/** Threads in front of others are a number. */
function addresses(text: string): readonly string[] {
  const [, threads, others] = /^([1-9]\d*),(.+)$/s.exec(text) ?? []
  if (others) return [threads, ...addresses(others)]
  return SCHEME.test(text) ? addressesIn(text) : text.split(',')
}

/** How many threads there are where nobody says: one, where the word of a worker of the user's own is proof, and no other is said to be his. */
const needsTrusted = ({ verify }: Pick<ModelConfig, 'verify'>, { trusted }: Remote) =>
  Number((verify?.mode === 'sampled' || verify?.trust === 'open') && !trusted)

function checkOwn(model: string): Promise<void> | undefined {
  const what =
    'an .onnx file, of which threads of this process answer beside the workers elsewhere (where these are your own: remote.trusted)'
  if (!isFile(model) && !isUrl(model)) throw new TypeError(expected('model', what, model))
  return isUrl(model) ? undefined : checkModelFile(model)
}

/** Threads of this process, and workers elsewhere that come and go. */
async function beside(others: WorkerChanges, start: () => Promise<ModelWorker[]>): Promise<WorkerChanges> {
  const reading = others[Symbol.asyncIterator]()
  const end = async () => void (await reading.return?.())
  const threads = await start().catch(async (error) => {
    await end()
    throw error
  })
  await others.alongside?.(threads[0]).catch(() => {}) // where its model takes no such query, that of the servers has a name of its own
  const next = async () => {
    const add = threads.shift()
    return add ? { value: { add } } : reading.next()
  }
  const stop = async () => {
    await Promise.all([end(), ...threads.splice(0).map((thread) => thread.close())])
    return { done: true as const, value: undefined }
  }
  return {
    most: others.most && others.most + threads.length,
    apart: () => others.apart?.(),
    doubt: (liars) => others.doubt?.(liars),
    [Symbol.asyncIterator]: () => ({ next, return: stop }),
  }
}

/** Whoever is at these addresses: they come and go while the server runs. */
async function workersAt(where: readonly string[], model: string, remote: Remote, onWarning: (text: string) => void) {
  const [first = '', ...rest] = where
  if (/^(nats|tls|wss?):/.test(first)) return natsFleet(where, model, remote, onWarning)
  const { httpOptions } = await import('../../workers/http/options')
  const { httpWorkers } = await import('../../workers/http/fleet')
  const { watchDns, watchFile } = await import('../../workers/remote/discovery')
  checkNames('remote', remote, [
    ...httpOptions.filter(isData),
    'model',
    'everyMs',
    'tokenFile',
    'tlsCa',
    'tlsCert',
    'tlsKey',
  ])
  const { tlsCa, tlsCert, tlsKey, tokenFile, everyMs, ...options } = remote
  const tls = await pem({ ca: tlsCa, cert: tlsCert, key: tlsKey })
  const speaking = {
    ...options,
    ...(tokenFile !== undefined && { headers: { ...Object(options.headers), authorization: await bearer(tokenFile) } }),
    ...(tls && { tls: { ...Object(options.tls), ...tls } }),
    ...{ model: remote.model ?? model, onWarning },
  } as HttpOptions
  const watching = { onWarning, ...(everyMs !== undefined && { everyMs: everyMs as number }) }
  if (/^https?:/.test(first)) return httpWorkers([first, ...rest], speaking)
  const [, path] = /^file:(.+)$/.exec(first) ?? []
  const [, host, port] = /^dns:([\w.-]+):(\d+)$/.exec(first) ?? []
  if (path && !rest.length) return httpWorkers(watchFile(path, watching), speaking)
  if (host && !rest.length) return httpWorkers(watchDns(host, { ...watching, port: Number(port) }), speaking)
  throw new RangeError(expected('workers', WORKERS, where.map(withoutPassword).join()))
}

/** @param where  'nats://user:password@host:4222/FLEET', and further servers of the same cluster */
async function natsFleet(where: readonly string[], model: string, remote: Remote, onWarning: (text: string) => void) {
  const { natsWorkers } = await import('../../workers/nats/fleet')
  for (const [option, flag] of [
    ['outputs', '--outputs'],
    ['shapes', '--input-shapes'],
  ]) {
    if (option in remote)
      throw new TypeError(`onnx (${flag}): expected none here, but where the machines start: approxifer work ${flag}`)
  }
  checkNames('remote', remote, [...natsOptions.filter(isData), ...natsAccess])
  const part = (isAccess: boolean) =>
    Object.fromEntries(Object.entries(remote).filter(([name]) => natsAccess.includes(name) === isAccess))
  const [, url, fleet] = /^(\w+:\/\/(?:.*@)?[^/@]+)\/([\w-]+)$/s.exec(where[0]) ?? []
  if (!fleet) throw new RangeError(expected('workers', 'nats://HOST:PORT/FLEET', withoutPassword(where[0])))
  const access = part(true) as Access
  const exposed = exposedPassword(access, 'a configuration file with remote.passwordFile')
  if (exposed) onWarning(exposed)
  const server = await connectOptions([url, ...where.slice(1)], access)
  // Workers say what their model is by its bytes, not by a name.
  return natsWorkers(server, {
    ...(part(false) as Partial<NatsOptions>),
    onWarning,
    fleet,
    ...(isFile(model) && { model }),
  })
}

/** Functions, and what stands elsewhere in a model's description. */
const isData = (name: string) => !['model', 'fleet', 'fetch', 'onWarning', 'origin', 'clock'].includes(name)

const bearer = async (file: unknown) => `Bearer ${(await readNamed('remote.tokenFile', file)).toString().trim()}`

/** What these files hold; undefined for none. */
async function pem(files: Record<'ca' | 'cert' | 'key', unknown>): Promise<HttpOptions['tls']> {
  const given = Object.entries(files).filter(([, file]) => file !== undefined)
  const field = (name: string) => `remote.tls${name[0].toUpperCase()}${name.slice(1)}`
  const read = given.map(async ([name, file]) => [name, (await readNamed(field(name), file)).toString()])
  return given.length ? Object.fromEntries(await Promise.all(read)) : undefined
}
