/** The command line and the configuration file, as one description of what to serve. */

import { basename, dirname, resolve } from 'node:path'
import { checkNames, checkObject, checkText, expected, nearest } from '../../base/check'
import { type AnyOptions, type Option, read } from '../../base/option'
import { placesNear } from '../../gateway/text/files'
import { type TextOptions, textOptions } from '../../gateway/text/options'
import { predictorOptions } from '../../predictor/option-table'
import type { PredictorOptions } from '../../predictor/options'
import { readNamed } from '../files'
import { nameOf } from '../options'
import { type ServerSettings, serverOptions } from './options'
import { checkTokens, type TokenSettings } from './tokens'

/** A model as it is asked for: options of a predictor that are data, and where its workers are. */
export type ModelConfig = Omit<PredictorOptions, 'workers' | 'model'> & {
  /** An .onnx file or URL; with workers elsewhere, and no threads beside them, the model's name there (default: its name here). */
  model?: string
  version?: string
  /** How many local ones, where others are, or both: see `predictorOptions`. */
  workers?: number | string | readonly (number | string)[]
  remote?: Remote
  /** `files` is a folder, beside a configuration file that names it. */
  text?: TextOptions | false
}

/**
 * Of workers elsewhere: options of `httpWorkers` or `natsWorkers` that are data; `everyMs` of discovery; `tokenFile`, `creds`, `nkeyFile`,
 * `passwordFile`, `tlsCa`, `tlsCert` and `tlsKey`, which are files.
 */
export type Remote = Record<string, unknown>

export interface Config {
  models: Record<string, ModelConfig>
  tokens: readonly TokenSettings[]
  server: ServerSettings
}

export const WORKERS = 'N | URL,.. | file:PATH | dns:NAME:PORT | nats://HOST:PORT/FLEET | N,one of these'

/** A flag's value: for all models of the command line, or for the one that is named. */
export type PerModel<T> = Readonly<Record<string, T>>
export const EVERY = ''

/** Flags as commander gives them; those of models by model. */
export interface Flags extends Partial<ServerSettings> {
  config?: string
  model: { path: readonly string[]; value: PerModel<unknown> }[]
}

/** Functions, objects with methods, and what the server itself sets. */
const noData = [
  'onWarning',
  'onEvent',
  'layers',
  'memory.state',
  'onnx.createWorker',
  'onnx.signal',
  'testing.clock',
  'text.tokenizer',
]
const dataIn = (options: object, group = '') =>
  Object.keys(options).filter((name) => !noData.includes(`${group}${name}`))

/**
 * @param models  'path', or 'name=path'; with workers elsewhere the model's name there
 * @throws TypeError, RangeError naming what is wrong and what was probably meant
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
    const what = `how many queries are coded together beside ${Object.keys(scheme).join(', ')}, such as 4`
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
    // A name, or what is no list, may be an address with a password, where a comma is missing.
    throw Object.assign(error as Error, { message: (error as Error).message.replace(/(\w+:\/+)\S*@/g, '$1...@') })
  }
}

function checkedFile(path: string, content: unknown): ConfigFile {
  checkNames(path, content, ['models', 'tokens', ...Object.keys(serverOptions)])
  const { models = {}, tokens = [], ...server } = content as Record<string, unknown> & { models?: ConfigFile['models'] }
  checkNames(`${path}: models`, models, Object.keys(models ?? {})) // that it is an object
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

/** YAML, and with it JSON. @throws TypeError that names the line */
async function parse(path: string, text: string): Promise<unknown> {
  const { LineCounter, parseDocument } = await import('yaml')
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, prettyErrors: false }) // without excerpts, which may hold secrets
  const [error] = document.errors
  if (!error) return document.toJS()
  throw new TypeError(
    `${path}: line ${lineCounter.linePos(error.pos[0]).line}: expected YAML or JSON: ${error.message}`,
  )
}

/** Options of workers elsewhere that are files. */
const remoteFiles = ['tokenFile', 'creds', 'nkeyFile', 'passwordFile', 'tlsCa', 'tlsCert', 'tlsKey']
/** Read again at each connection. */
const renewed = ['creds', 'nkeyFile', 'passwordFile']

/** Files, and URLs of files, that are read when a model is loaded: their contents may change while their names stay. */
export function filesOf(described: ModelConfig): string[] {
  const { model = '', workers, text } = described
  const own = isFile(model) || !isElsewhere(workers)
  const path = !own || model.startsWith('data:') ? [] : [model]
  const isAsked = text !== false && own && (text || !/^(https?|data):/.test(model))
  const folders = text && typeof text.files === 'string' ? [`${text.files}/`] : isAsked ? placesNear(model) : []
  const texts = folders.map((folder) => `${folder}tokenizer.json`)
  return [...path, ...texts, ...remoteFilesOf(described)]
}

/** Those of `remote`, but for credentials, which are read again at each connection. */
export function remoteFilesOf({ remote = {} }: ModelConfig): string[] {
  const named = remoteFiles.filter((name) => !renewed.includes(name))
  return named.flatMap((name) => (typeof remote[name] === 'string' ? [remote[name]] : []))
}

/** Files that a configuration names lie beside it. */
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

/** What flags are called as options of a predictor. */
function byFlag(options: AnyOptions, group = ''): Record<string, string> {
  const entries = Object.entries(options).flatMap(([name, { flags, options: inside }]) => {
    if (inside) return Object.entries(byFlag(inside, name))
    return flags === undefined ? [] : [[nameOf(flags), group ? `${group}: { ${name} }` : name] as const]
  })
  return Object.fromEntries(entries)
}
const optionOf = byFlag(predictorOptions)

function checkModel(field: string, model: unknown): void {
  const known = [...dataIn(predictorOptions), 'version', 'remote', 'text']
  const unknown = Object.keys(checkObject(field, model)).find((name) => !known.includes(name)) ?? ''
  if (Object.hasOwn(optionOf, unknown)) {
    throw new TypeError(`${field}.${unknown}: expected ${optionOf[unknown]}, got the name of its flag`)
  }
  checkNames(field, model, known)
  const { model: path, version, workers, remote, text } = model as ModelConfig
  for (const [name, value] of Object.entries({ model: path, version })) {
    if (value !== undefined) checkText(`${field}.${name}`, value, 'a text')
  }
  if (remote !== undefined) checkNames(`${field}.remote`, remote, Object.keys(remote ?? {}))
  if (text) {
    checkNames(`${field}.text`, text, dataIn(textOptions, 'text.'))
    read(textOptions, `${field}.text`, text)
  }
  if (path === undefined && !isElsewhere(workers))
    throw new TypeError(expected(`${field}.model`, 'an .onnx file', path))
  for (const [name, { options, check }] of Object.entries<Option>(predictorOptions)) {
    const value = (model as Record<string, unknown>)[name]
    if (value === undefined) continue
    if (options && value) checkNames(`${field}.${name}`, value, dataIn(options, `${name}.`))
    check(`${field}.${name}`, value)
  }
}

/** Whether the workers are not threads of this process. */
export const isElsewhere = (workers: unknown) => typeof workers === 'string' || Array.isArray(workers)
/** Whether it is a model, rather than the name of one. */
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

/** 'FILE' or 'NAME=FILE'. */
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

/** Names stand in addresses. */
function checkName(name: string): string {
  if (/^[A-Za-z0-9][\w.-]{0,99}$/.test(name)) return name
  throw new RangeError(expected('model', 'a name of letters, digits, _ . -, as name=file', name))
}

/** What flags say goes before what the file says. */
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
