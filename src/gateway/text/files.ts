/** Reads the files of transformers and sentence-transformers beside a model: `tokenizer.json` and their configurations. */

import { platform } from '#platform'
import { expected, isObject } from '../../base/check'
import { type Pooling, poolings, type TextOptions } from './options'

type Json = Readonly<Record<string, unknown>>
type TextPlace = NonNullable<TextOptions['files']>

export interface TextFiles {
  tokenizer: Json | undefined
  config: Json
  maxTokens: number | undefined
  normalize: boolean | undefined
  /** The default prompt, which sentence-transformers puts in front of texts. */
  prompt: unknown
  /** How vectors of tokens become the text's; undefined where no file says it. @throws RangeError for an unknown pooling */
  pooling(): Pooling | undefined
}

/** The names of poolings in older and newer versions of sentence-transformers. */
const POOLINGS: Readonly<Record<string, Pooling>> = {
  ...{ pooling_mode_cls_token: 'cls', pooling_mode_mean_tokens: 'mean', pooling_mode_lasttoken: 'last' },
  ...{ cls: 'cls', mean: 'mean', lasttoken: 'last' },
}

/** Larger limits are none: tokenizers without a limit say 10^30. */
const MOST_TOKENS = 2 ** 20

/** Reads the files. @param places  folders, of which the first with a `tokenizer.json` is used. @throws Error naming a file that cannot be read */
export async function readTextFiles(places: readonly TextPlace[]): Promise<TextFiles> {
  let [files = {}] = places
  let tokenizer: unknown
  for (const place of places) {
    tokenizer = await fileOf(place, 'tokenizer.json')
    if (tokenizer) files = place
    if (tokenizer) break
  }
  const names = ['tokenizer_config', 'modules', 'sentence_bert_config', 'config', 'config_sentence_transformers']
  const all = await Promise.all(names.map((name) => fileOf(files, `${name}.json`)))
  const [config = {}, modules, sentence, model, prompts] = all as (Json | undefined)[]
  const parts: Json[] = Array.isArray(modules) ? modules.filter(isObject) : []
  const kindOf = ({ type }: Json) => String(type).replace(/.*\./, '')
  const pooling = parts.find((part) => kindOf(part) === 'Pooling')
  const own = pooling && (await fileOf(files, `${pooling.path}/config.json`))
  const other = parts.find((part) => !['Transformer', 'Pooling', 'Normalize'].includes(kindOf(part)))
  return {
    ...{ tokenizer: tokenizer as Json | undefined, config },
    maxTokens: leastOf(sentence?.max_seq_length) ?? leastOf(config.model_max_length, positionsOf(model)),
    normalize: parts.length ? parts.some((part) => kindOf(part) === 'Normalize') : undefined,
    prompt: (prompts?.prompts as Json | undefined)?.[String(prompts?.default_prompt_name)],
    pooling() {
      if (other) throw new RangeError(expected('modules.json', 'Transformer, Pooling and Normalize', other.type))
      return own ? poolingOf(own as Json) : undefined
    },
  }
}

/** The folders where a model's files may be: its own; and for a folder named `onnx`, as on the Hugging Face Hub, the one above. */
export function placesNear(model: string): string[] {
  const folder = model.replace(/[?#].*$/s, '').replace(/[^/\\]*$/, '')
  return [folder, ...(/(^|[/\\])onnx[/\\]$/.test(folder) ? [folder.replace(/onnx[/\\]$/, '')] : [])]
}

/** The parsed content of a file; undefined if there is none. */
async function fileOf(files: TextPlace, name: string): Promise<unknown> {
  if (typeof files !== 'string' && !(files instanceof URL)) return files[name]
  const path = `${files}${/^$|[/\\]$/.test(String(files)) ? '' : '/'}${name}`
  try {
    return JSON.parse(new TextDecoder().decode(await platform.read(path)))
  } catch (error) {
    const { code = '', message } = error as { code?: string; message: string }
    if (['ENOENT', 'ENOTDIR'].includes(code) || /answered 40[34]$/.test(message)) return undefined
    throw new Error(`${path}: expected a file of JSON: ${message}`, { cause: error })
  }
}

function leastOf(...lengths: unknown[]): number | undefined {
  const known = lengths.filter((n): n is number => Number.isInteger(n) && Number(n) > 0 && Number(n) < MOST_TOKENS)
  return known.length ? Math.min(...known) : undefined
}

/** The most tokens that a model's position embeddings allow. Positions of models like RoBERTa begin after the padding token's. */
function positionsOf({ max_position_embeddings: most, pad_token_id: pad, model_type: kind }: Json = {}): unknown {
  return /roberta|camembert|mpnet/.test(String(kind)) ? Number(most) - Number(pad) - 1 : most
}

function poolingOf(config: Json): Pooling {
  const { pooling_mode: named } = config
  const isSet = (name: string) => name.startsWith('pooling_mode_') && config[name] === true
  const modes = typeof named === 'string' ? [named] : Object.keys(config).filter(isSet)
  const known = modes.length === 1 ? POOLINGS[modes[0]] : undefined
  if (known) return known
  throw new RangeError(expected('1_Pooling/config.json', `one of ${poolings.join(', ')}`, modes.join(', ')))
}
