/** Reads a model's file, weights and config, and explains errors of files that are not models. */

import { platform } from '#platform'
import { expected, isObject } from '../../base/check'
import { checksum } from '../../base/checksum'
import { ApproxiferError, asError, withoutPassword } from '../../base/errors'
import type { HubConfig } from '../../base/output-kind'
import { besideModel, locate, weightFiles } from './external-data'
import type { ModelSource } from './kinds'
import type { OnnxOptions } from './options'

export interface ModelFile {
  bytes: Uint8Array
  /** Contents of separate weight files, by the names that the model has for them. */
  weights: Readonly<Record<string, Uint8Array>>
  /** Contents of config.json beside the model, if it was read from a file. */
  config?: HubConfig | undefined
}

/**
 * Reads a model from a path, a URL or bytes, and its weight files.
 *
 * @param given  locations of weight files, by the model's names for them; default: beside the model
 * @throws ApproxiferError MODEL for a file that cannot be read; TypeError for any other value
 */
export async function readModel(model: unknown, given: OnnxOptions['externalData'] = {}): Promise<ModelFile> {
  const bytes = await bytesOf('model', model)
  const names = weightFiles(bytes)
  const unknown = Object.keys(given).find((name) => !names.includes(name))
  if (unknown !== undefined) {
    throw new RangeError(
      `externalData: expected names of the model's weights (${names.join(', ') || 'it has none elsewhere'}), got ${unknown}`,
    )
  }
  const read = async (name: string) => [name, await bytesOf(`externalData.${name}`, given[name] ?? beside(model, name))]
  const [weights, config] = await Promise.all([Promise.all(names.map(read)), configBeside(model)])
  return { bytes, weights: Object.fromEntries(weights), ...(config && { config }) }
}

/** Locations on the Hugging Face Hub: beside the model, or above its folder `onnx`. */
const CONFIGS = ['config.json', '../config.json']

/**
 * Reads config.json beside a model file; undefined if there is none. URLs are skipped: a page would wait for the request, and log a
 * missing file.
 */
async function configBeside(model: unknown): Promise<HubConfig | undefined> {
  if (typeof model !== 'string' && !(model instanceof URL)) return undefined
  if (!/^file:/.test(`${model}`) && /^\w\w+:/.test(`${model}`)) return undefined
  for (const name of CONFIGS) {
    try {
      const config = configOf(JSON.parse(new TextDecoder().decode(await platform.read(locate(model, name)))))
      if (config) return config
    } catch {}
  }
}

function configOf(value: unknown): HubConfig | undefined {
  if (!isObject(value) || !('model_type' in value || 'architectures' in value || 'problem_type' in value))
    return undefined // another tool's config
  const { problem_type: problemType, id2label, vocab_size: vocabulary } = value
  return {
    ...(typeof problemType === 'string' && { problemType }),
    ...(isObject(id2label) && { labels: Object.keys(id2label).length }),
    ...(Number.isInteger(vocabulary) && { vocabulary: vocabulary as number }),
  }
}

function beside(model: unknown, name: string): string | URL {
  if ((typeof model === 'string' && !/^(data|blob):/.test(model)) || model instanceof URL)
    return besideModel(model, name)
  const todo = `externalData: { ${JSON.stringify(name)}: its bytes, path or URL }`
  throw new ApproxiferError('MODEL', `the model has weights in another file; say where it is by the option ${todo}`)
}

async function bytesOf(field: string, source: unknown): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source
  if (source instanceof ArrayBuffer) return new Uint8Array(source)
  if (typeof source !== 'string' && !(source instanceof URL)) {
    throw new TypeError(expected(field, 'a path, a URL or bytes', source))
  }
  try {
    return await platform.read(source)
  } catch (error) {
    throw asError(error, 'MODEL', `the ${field === 'model' ? 'model' : "model's weights"} '${source}' cannot be read: `)
  }
}

/** Identifies a model by a checksum of its file and weights. */
export function fingerprintOf({ bytes, weights }: ModelFile): string {
  const others = Object.keys(weights).sort()
  if (!others.length) return checksum(bytes)
  const sums = others.map((name) => `${name} ${checksum(weights[name])}`)
  return checksum(new TextEncoder().encode([checksum(bytes), ...sums].join('\n')))
}

/** The runtimes' messages about a file that is no ONNX model, or is truncated. */
const UNPARSED = /protobuf parsing failed|no graph was found in the protobuf/i

const MOST_LETTERS = 300

/**
 * Turns the error of a model that did not load into one that names the kind of file. Contents of the file are never quoted, since a
 * secret file may have been named by mistake.
 *
 * @param model  where the bytes were read from: a path, a URL or bytes
 */
export async function asModelError(error: unknown, model: unknown, bytes: Uint8Array): Promise<unknown> {
  if (!(error instanceof ApproxiferError) || !UNPARSED.test(error.message)) return error
  const place = typeof model === 'string' || model instanceof URL ? String(model) : undefined
  const { kindOf } = await import('./kinds')
  const kind = kindOf(bytes, place === undefined ? undefined : originOf(place))
  const where = place === undefined ? '' : ` in ${named(place)}`
  return new ApproxiferError('MODEL', `model: expected an ONNX model${where}, got ${kind}`, { cause: error })
}

function originOf(place: string): { from: ModelSource; name: string } {
  const [name] = (/[^/\\]*$/.exec(place.replace(/[?#].*$/s, '')) ?? ['']) as [string]
  return {
    from: platform.isPage ? 'page' : /^https?:/.test(place) ? 'request' : 'file',
    name: name.slice(0, MOST_LETTERS),
  }
}

const named = (model: string) => JSON.stringify(withoutPassword(model.slice(0, MOST_LETTERS)))
