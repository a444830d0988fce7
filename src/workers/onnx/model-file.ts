/** A model's bytes and weights, and what they are where they are no model: the runtimes only say that they cannot be parsed. */

import { platform } from '#platform'
import { expected, isObject } from '../../base/check'
import { checksum } from '../../base/checksum'
import { ApproxiferError, asError, withoutPassword } from '../../base/errors'
import type { HubConfig } from '../../base/output-kind'
import { besideModel, locate, weightFiles } from './external-data'
import type { OnnxOptions } from './options'

export interface ModelFile {
  bytes: Uint8Array
  /** What it keeps in other files, by the names that it has for them. */
  weights: Readonly<Record<string, Uint8Array>>
  /** What config.json beside it says, where it is a file. */
  config?: HubConfig | undefined
}

/**
 * A model from a path, a URL or bytes, with the weights that lie beside it.
 *
 * @param given  where its weights are, by the names that it has for them; default: beside it
 * @throws ApproxiferError MODEL for what cannot be read; TypeError for anything else
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

/** Where the Hub's models have it: beside the model, or above its folder `onnx`. */
const CONFIGS = ['config.json', '../config.json']

/** Of files alone: a page would log each URL that is not there, and wait for it. What is not there, or is no such file, says nothing. */
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
    return undefined // another tool's
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

/** Tells a model from others, by its bytes and weights: two that were trained differently may differ in these alone. */
export function fingerprintOf({ bytes, weights }: ModelFile): string {
  const others = Object.keys(weights).sort()
  if (!others.length) return checksum(bytes)
  const sums = others.map((name) => `${name} ${checksum(weights[name])}`)
  return checksum(new TextEncoder().encode([checksum(bytes), ...sums].join('\n')))
}

/** What the runtimes say of a file that is no model, or not all of one; `onnxruntime-node` begins with its path and a capital. */
const UNPARSED = /protobuf parsing failed|no graph was found in the protobuf/i

const MOST_LETTERS = 300

/**
 * The error of a model that did not load: where its bytes are no ONNX model, one that says what they are. Nothing of a text is quoted,
 * since it may be a secret whose file was named by mistake.
 *
 * @param model  the path, URL or bytes that these bytes are from
 */
export async function asModelError(error: unknown, model: unknown, bytes: Uint8Array): Promise<unknown> {
  if (!(error instanceof ApproxiferError) || !UNPARSED.test(error.message)) return error
  const where = typeof model === 'string' || model instanceof URL ? ` in ${named(String(model))}` : ''
  const { kindOf } = await import('./kinds')
  return new ApproxiferError('MODEL', `model: expected an ONNX model${where}, got ${kindOf(bytes)}`, { cause: error })
}

const named = (model: string) => JSON.stringify(withoutPassword(model.slice(0, MOST_LETTERS)))
