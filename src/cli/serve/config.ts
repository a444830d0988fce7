/** The configuration of `approxifer serve`, from the command line and the configuration file. */

import { basename, dirname, resolve } from 'node:path'
import { checkNames, checkText, expected, nearest } from '../../base/check'
import { type AnyOptions, any, checkNamesOf, type Option, open, otherWords, read } from '../../base/option'
import { placesNear } from '../../gateway/text/files'
import { type TextOptions, textOptions } from '../../gateway/text/options'
import { predictorOptions } from '../../predictor/option-table'
import type { PredictorOptions } from '../../predictor/options'
import { synonymWords } from '../../predictor/synonyms'
import { readNamed } from '../files'
import { type ServerSettings, serverOptions } from './options'
import { checkTokens, type TokenSettings } from './tokens'

/** A model's configuration: the options of its predictor, except functions, and where its workers are. */
export type ModelConfig = Omit<PredictorOptions, 'workers' | 'model'> & {
  /** An .onnx file or its URL; with remote workers alone, the name of the model at these workers (default: its name here). */
  model?: string
  version?: string
  /** The number of threads, the addresses of remote workers, or both: see `predictorOptions` in fleet.ts. */
  workers?: number | string | readonly (number | string)[]
  remote?: Remote
  /** `text.files` is a folder here; in a configuration file it is relative to that file. */
  text?: TextOptions | false
}

/**
 * Options of remote workers: those of `httpWorkers` or `natsWorkers`, except functions; `everyMs`, the interval of discovery; and the
 * files `tokenFile`, `creds`, `nkeyFile`, `passwordFile`, `tlsCa`, `tlsCert` and `tlsKey`.
 */
export type Remote = Record<string, unknown>

export interface Config {
  models: Record<string, ModelConfig>
  tokens: readonly TokenSettings[]
  server: ServerSettings
}

export const WORKERS = 'N | URL,.. | file:PATH | dns:NAME:PORT | nats://HOST:PORT/FLEET | N,one of these'

/** A flag's values by the name of the model; under the name `EVERY`, the value for all models of the command line. */
export type PerModel<T> = Readonly<Record<string, T>>
export const EVERY = ''

/** The parsed flags: those of the server by name, those of models as a list. */
export interface Flags extends Partial<ServerSettings> {
  config?: string
  model: { path: readonly string[]; value: PerModel<unknown> }[]
}

/** Options that a configuration file cannot have: functions, objects with methods, and those that the server sets itself. */
const notInFiles = [
  ...['onWarning', 'onEvent', 'layers', 'memory.state', 'onnx.createWorker', 'onnx.signal', 'testing.clock'],
  'text.tokenizer',
]
/**
 * Reads the configuration.
 *
 * @param models  'path' or 'name=path'; with remote workers, the path is the model's name at these
 * @throws TypeError, RangeError naming what is wrong and, if possible, what was probably meant
 */
export async function readConfig(models: readonly string[], flags: Flags): Promise<Config> {
  const file = flags.config === undefined ? undefined : await readConfigFile(flags.config)
  const named = fromCommandLine(models, flags.model)
  const twice = Object.keys(named).find((name) => Object.hasOwn(file?.models ?? {}, name))
  if (twice !== undefined)
    throw new RangeError(`${twice}: expected a model of the command line or of --config, got both`)
  const all = { ...file?.models, ...named }
  if (!Object.keys(all).length) {
    throw new TypeError('models: expected at least one, as an argument such as NAME=FILE.onnx or by --config, got none')
  }
  for (const [name, { scheme }] of Object.entries(all)) {
    if (!scheme || scheme.queries !== undefined) continue
    const what = `the queries of a group (K), such as 4, beside ${Object.keys(scheme).join(', ')}`
    throw new TypeError(`${name}: scheme.queries (--queries): expected ${what}, got none`)
  }
  const { tokens = [], server: said = {} } = file ?? {}
  const server = serverSettings(said, flags)
  const at = server.tlsClientCa === undefined ? tokens.findIndex(({ certificate }) => certificate !== undefined) : -1
  if (at >= 0) throw new TypeError(`tokens[${at}].certificate: expected --tls-client-ca beside it, got none`)
  return { models: all, tokens, server }
}

type ConfigFile = Omit<Config, 'server'> & { server: Partial<ServerSettings> }

async function readConfigFile(path: string): Promise<ConfigFile> {
  const text = (await readNamed('--config', path)).toString()
  try {
    return checkedFile(path, await parse(path, text))
  } catch (error) {
    // The message may quote an address with a password.
    throw Object.assign(error as Error, { message: (error as Error).message.replace(/(\w+:\/+)\S*@/g, '$1...@') })
  }
}

function checkedFile(path: string, content: unknown): ConfigFile {
  checkNames(path, content, ['models', 'tokens', ...Object.keys(serverOptions)], () => [
    ...otherWords(serverOptions),
    ...otherWords({ 'models.NAME': { ...unchecked, options: modelOptions } }),
    ...synonymWords('models.NAME.'),
  ])
  const { models = {}, tokens = [], ...server } = content as Record<string, unknown> & { models?: ConfigFile['models'] }
  checkNames(`${path}: models`, models, Object.keys(models ?? {})) // checks only that it is an object
  for (const [name, model] of Object.entries(models)) checkModel(`${path}: models.${name}`, model)
  const near = (file: string) => resolve(dirname(path), file)
  const located = Object.entries(models).map(([name, model]) => [checkName(name), besideConfig(model, near)])
  for (const name of ['tokenFile', 'tlsCert', 'tlsKey', 'tlsClientCa', 'state']) {
    if (typeof server[name] === 'string') server[name] = near(server[name])
  }
  return {
    models: Object.fromEntries(located),
    tokens: checkTokens(`${path}: tokens`, tokens).map((each) => ({ ...each, file: each.file && near(each.file) })),
    server: checked(path, server),
  }
}

/** Parses YAML, of which JSON is a part. @throws TypeError that names the line */
async function parse(path: string, text: string): Promise<unknown> {
  const { LineCounter, parseDocument } = await import('yaml')
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, prettyErrors: false }) // prettyErrors would quote the file, which may contain secrets
  const [error] = document.errors
  if (!error) return document.toJS()
  throw new TypeError(
    `${path}: line ${lineCounter.linePos(error.pos[0]).line}: expected YAML or JSON: ${error.message}`,
  )
}

/** Options of `remote` that are files. */
const remoteFiles = ['tokenFile', 'creds', 'nkeyFile', 'passwordFile', 'tlsCa', 'tlsCert', 'tlsKey']
/** Those of them that are read again at each connection. */
const renewed = ['creds', 'nkeyFile', 'passwordFile']

/** The files, and URLs of files, that loading a model reads. When the content of one changes, the model is loaded again. */
export function filesOf(described: ModelConfig): string[] {
  const { model = '', workers, text } = described
  const own = isFile(model) || !isElsewhere(workers)
  const path = !own || model.startsWith('data:') ? [] : [model]
  const isAsked = text !== false && own && (text || !/^(https?|data):/.test(model))
  const folders = text && typeof text.files === 'string' ? [`${text.files}/`] : isAsked ? placesNear(model) : []
  const texts = folders.map((folder) => `${folder}tokenizer.json`)
  return [...path, ...texts, ...remoteFilesOf(described)]
}

/** The files that `remote` names, without credentials, which are read again at each connection anyway. */
export function remoteFilesOf({ remote = {} }: ModelConfig): string[] {
  const named = remoteFiles.filter((name) => !renewed.includes(name))
  return named.flatMap((name) => (typeof remote[name] === 'string' ? [remote[name]] : []))
}

/** The model with the paths of its files resolved: in a configuration file they are relative to that file. */
function besideConfig(model: ModelConfig, near: (file: string) => string): ModelConfig {
  const { model: path, workers, remote = {}, text } = model
  const files = remoteFiles.filter((name) => typeof remote[name] === 'string')
  const watched = typeof workers === 'string' && workers.startsWith('file:') && !workers.startsWith('file://')
  return {
    ...model,
    ...(path !== undefined && (isFile(path) || !isElsewhere(workers)) && !isUrl(path) && { model: near(path) }),
    ...(model.remote && {
      remote: { ...remote, ...Object.fromEntries(files.map((name) => [name, near(String(remote[name]))])) },
    }),
    ...(text && typeof text.files === 'string' && !isUrl(text.files) && { text: { ...text, files: near(text.files) } }),
    ...(watched && { workers: `file:${near(workers.slice(5))}` }),
  }
}

/** The options that a configuration file can have. */
function inFiles(options: AnyOptions, group = ''): AnyOptions {
  const kept = Object.entries(options).filter(([name]) => !notInFiles.includes(`${group}${name}`))
  const filtered = kept.map(([name, { options: inside, ...option }]) => [
    name,
    inside ? { ...option, options: inFiles(inside, `${name}.`) } : option,
  ])
  return Object.fromEntries(filtered)
}

/** Only their names matter: `checkModel` checks the values. */
const unchecked = open(any, '', '')
const modelOptions: AnyOptions = {
  ...inFiles(predictorOptions),
  ...{ version: unchecked, remote: unchecked, text: { ...unchecked, options: inFiles(textOptions, 'text.') } },
}

function checkModel(field: string, model: unknown): void {
  checkNamesOf(modelOptions, field, model, () => [...otherWords(serverOptions, ['models']), ...synonymWords()])
  const { model: path, version, workers, remote, text } = model as ModelConfig
  for (const [name, value] of Object.entries({ model: path, version })) {
    if (value !== undefined) checkText(`${field}.${name}`, value, 'a text')
  }
  if (remote !== undefined) checkNames(`${field}.remote`, remote, Object.keys(remote ?? {}))
  if (text) read(textOptions, `${field}.text`, text)
  if (path === undefined && !isElsewhere(workers))
    throw new TypeError(expected(`${field}.model`, 'an .onnx file', path))
  for (const [name, { check }] of Object.entries<Option>(predictorOptions)) {
    const value = (model as Record<string, unknown>)[name]
    if (value !== undefined) check(`${field}.${name}`, value)
  }
}

/** Whether some workers are remote, rather than all of them threads of this process. */
export const isElsewhere = (workers: unknown) => typeof workers === 'string' || Array.isArray(workers)
/** Whether the text is a path of a model file, rather than the name of a model at remote workers. */
export const isFile = (text: string) => /\.(onnx|ort)$/.test(text)
export const isUrl = (text: string) => /^(https?|file|data):/.test(text)

function fromCommandLine(models: readonly string[], flags: Flags['model']): Record<string, ModelConfig> {
  const named: Record<string, ModelConfig> = {}
  for (const text of models) {
    const { name, path } = namedFile(text)
    if (Object.hasOwn(named, name))
      throw new RangeError(`${name}: expected another name, as name=${path}, got it twice`)
    named[name] = { model: path }
  }
  for (const { path, value } of flags) {
    for (const [name, each] of Object.entries(value)) {
      if (name !== EVERY && !Object.hasOwn(named, name)) {
        const near = nearest(name, Object.keys(named))
        const known = `one of the models ${Object.keys(named).join(', ')}`
        throw new RangeError(`${name}: expected ${known}${near ? ` (${near}?)` : ''}`)
      }
      for (const model of name === EVERY ? Object.keys(named) : [name]) {
        if (name === EVERY && Object.hasOwn(value, model)) continue
        assign(named[model] as Record<string, unknown>, path, each)
      }
    }
  }
  return named
}

/** Parses 'FILE' or 'NAME=FILE'. Without a name, it is that of the file. */
export function namedFile(text: string): { name: string; path: string } {
  const [, given, path] = /^(?:([A-Za-z0-9][\w.-]*)=)?(.+)$/s.exec(text) ?? []
  if (!path) throw new TypeError(expected('model', "'file' or 'name=file'", text))
  return { name: checkName(given ?? basename(path).replace(/\.(onnx|ort)$/, '')), path }
}

function assign(into: Record<string, unknown>, [name, ...rest]: readonly string[], value: unknown): void {
  if (!rest.length) {
    into[name] = value
    return
  }
  into[name] ??= {}
  assign(into[name] as Record<string, unknown>, rest, value)
}

/** Checks a model's name, which is a part of URLs. */
function checkName(name: string): string {
  if (/^[A-Za-z0-9][\w.-]{0,99}$/.test(name)) return name
  throw new RangeError(expected('model', 'a name of letters, digits, _ . -, as name=file', name))
}

/** The server's settings: a flag overrides the configuration file. */
function serverSettings(file: Partial<ServerSettings>, flags: Partial<ServerSettings>): ServerSettings {
  const entries = Object.entries(serverOptions) as [keyof ServerSettings, Option][]
  const settings = entries.map(([name, { fallback }]) => [name, flags[name] ?? file[name] ?? fallback])
  const server: ServerSettings = Object.fromEntries(settings)
  if ((server.tlsCert === undefined) !== (server.tlsKey === undefined)) {
    const [missing, given] = server.tlsCert === undefined ? ['cert', 'key'] : ['key', 'cert']
    throw new TypeError(`--tls-${missing}: expected a file beside --tls-${given}: they go together, got none`)
  }
  if (server.tlsClientCa !== undefined && server.tlsCert === undefined)
    throw new TypeError('--tls-client-ca: expected --tls-cert and --tls-key beside it, got none')
  const { maxBody, maxBodies = maxBody } = server
  if (maxBodies < maxBody) throw new RangeError(expected('--max-bodies', `at least --max-body, ${maxBody}`, maxBodies))
  return server
}

function checked(path: string, server: Record<string, unknown>): Partial<ServerSettings> {
  const options: AnyOptions = serverOptions
  const each = Object.entries(server).map(([name, value]) => [name, options[name].check(`${path}: ${name}`, value)])
  return Object.fromEntries(each)
}
