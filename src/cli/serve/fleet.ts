/** Turns a model's configuration, with the addresses of its workers (`--workers`), into options of a predictor. Code for remote workers is imported on use. */

import { checkNames, expected } from '../../base/check'
import { withoutPassword } from '../../base/errors'
import type { Warn } from '../../base/notices'
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
 * @param name    the model's name here and, by default, at its remote workers. Another name there is `model` or, where `model` is a file
 *   for threads of this process, `remote.model`
 * @param signal  aborts waiting for remote workers and loading threads; it never fires once a predictor has them
 */
export async function predictorOptions(
  name: string,
  { workers, remote = {}, model = name, ...options }: ModelConfig,
  onWarning: Warn,
  signal: AbortSignal,
): Promise<PredictorOptions & { version?: string }> {
  if (isElsewhere(workers)) {
    const all = typeof workers === 'string' ? addresses(workers) : (workers as readonly unknown[]).map(String)
    const threads = Number(all[0]) || trustedThreads(options, remote)
    const where = Number(all[0]) ? all.slice(1) : all
    if (threads) await checkThreadModel(model)
    const { onnx = {}, ...rest } = options
    const { outputs, inputShapes: shapes, ...own } = onnx
    const asked = { ...(outputs && { outputs }), ...(shapes && { shapes }), ...(threads && { model: name }), ...remote }
    const others = await workersAt(where, model, threads && SCHEME.test(where[0]) ? remote : asked, onWarning)
    const start = () =>
      localWorkers({ rounding: options.verify?.rounding, ...onnx, model, workers: threads, onWarning, signal })
    const changes = threads ? await withThreads(others, start) : others
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

/** Splits `--workers` into its addresses; a number of threads in front of them is the first element. */
function addresses(text: string): readonly string[] {
  const [, threads, others] = /^([1-9]\d*),(.+)$/s.exec(text) ?? []
  if (others) return [threads, ...addresses(others)]
  return SCHEME.test(text) ? addressesIn(text) : text.split(',')
}

/** The default number of threads beside remote workers: one, where proofs need a trusted worker and `remote.trusted` names none; else 0. */
const trustedThreads = ({ verify }: Pick<ModelConfig, 'verify'>, { trusted }: Remote) =>
  Number((verify?.mode === 'sampled' || verify?.trust === 'open') && !trusted)

function checkThreadModel(model: string): Promise<void> | undefined {
  const what =
    'an .onnx file, which threads of this process run beside the remote workers (if you trust these workers, set remote.trusted)'
  if (!isFile(model) && !isUrl(model)) throw new TypeError(expected('model', what, model))
  return isUrl(model) ? undefined : checkModelFile(model)
}

/** Threads of this process, followed by remote workers as they join and leave. @param start  starts the threads */
async function withThreads(others: WorkerChanges, start: () => Promise<ModelWorker[]>): Promise<WorkerChanges> {
  const reading = others[Symbol.asyncIterator]()
  const end = async () => void (await reading.return?.())
  const threads = await start().catch(async (error) => {
    await end()
    throw error
  })
  await others.alongside?.(threads[0]).catch(() => {}) // it fails where the thread's model differs from the servers': then their model counts as another one
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
    sleep: (isAsleep) => others.sleep?.(isAsleep),
    [Symbol.asyncIterator]: () => ({ next, return: stop }),
  }
}

/** The remote workers at these addresses, which join and leave while the server runs. */
async function workersAt(where: readonly string[], model: string, remote: Remote, onWarning: Warn) {
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

/** The workers of a fleet. @param where  'nats://user:password@host:4222/FLEET', and more servers of the same NATS cluster */
async function natsFleet(where: readonly string[], model: string, remote: Remote, onWarning: Warn) {
  const { natsWorkers } = await import('../../workers/nats/fleet')
  for (const [option, flag] of [
    ['outputs', '--outputs'],
    ['shapes', '--input-shapes'],
  ]) {
    if (option in remote)
      throw new TypeError(
        `onnx (${flag}): expected none with a fleet: set it on its machines, as approxifer work ${flag}`,
      )
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
  // A fleet's workers identify their model by its bytes, not by a name.
  return natsWorkers(server, {
    ...(part(false) as Partial<NatsOptions>),
    onWarning,
    fleet,
    ...(isFile(model) && { model }),
  })
}

/** Whether an option of remote workers can be in `remote`: functions cannot, nor options that the model's configuration has elsewhere. */
const isData = (name: string) => !['model', 'fleet', 'fetch', 'onWarning', 'origin', 'clock'].includes(name)

const bearer = async (file: unknown) => `Bearer ${(await readNamed('remote.tokenFile', file)).toString().trim()}`

/** The contents of PEM files; undefined if none is given. */
async function pem(files: Record<'ca' | 'cert' | 'key', unknown>): Promise<HttpOptions['tls']> {
  const given = Object.entries(files).filter(([, file]) => file !== undefined)
  const field = (name: string) => `remote.tls${name[0].toUpperCase()}${name.slice(1)}`
  const read = given.map(async ([name, file]) => [name, (await readNamed(field(name), file)).toString()])
  return given.length ? Object.fromEntries(await Promise.all(read)) : undefined
}
