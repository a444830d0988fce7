/** A model with an interface for texts: turns texts into tokens, and outputs into vectors, or scores of pairs of texts. */

import { platform } from '#platform'
import { expected } from '../../base/check'
import { isReal, kindOf, realsOf } from '../../base/element'
import { read, type ValuesOf } from '../../base/option'
import type { AnyTensor, QueryTensors, Signature, TensorSpec, Tensors } from '../../base/tensor'
import { shownShape } from '../../base/tensor'
import { placesNear, readTextFiles, type TextFiles } from './files'
import { type Pooling, type TextOptions, textOptions } from './options'
import { TextTokens, type Tokenizer, type TokenRow } from './tokens'

/** How an output is read. */
interface OutputUse {
  output: string
  gives: 'vector' | 'score'
  /** The length of the vector; -1 where it is not known. */
  width: number
  /** How the vectors of tokens become the text's; undefined where the output is the text's vector already. */
  pooling?: Pooling
  /** Whether embeddings are scaled to length 1. Undefined: only those that are cut to fewer dimensions. */
  normalize?: boolean | undefined
}

type TextChoices = ValuesOf<typeof textOptions>

const [IDS, MASK, TYPES] = ['input_ids', 'attention_mask', 'token_type_ids']
/** The most tokens of a text where no file says it. */
const WITHOUT_FILES = 512

/**
 * Makes a model's interface for texts.
 *
 * @param options  undefined: only if a tokenizer lies beside the model and the model's signature fits
 * @param model    the predictor's option `model`
 * @returns the interface or, if `options` did not demand one, the reason why there is none
 * @throws TypeError, RangeError, Error where `options` demand one that cannot be made
 */
export async function textModelOf(
  options: TextOptions | false | undefined,
  model: unknown,
  signature: Signature,
  warn: (text: string) => void,
): Promise<TextModel | string> {
  if (options === false) return 'its option text is false'
  const path = typeof model === 'string' || model instanceof URL ? String(model) : ''
  const isSought = path && (options || (platform.importTokenizer && !/^(https?|data):/.test(path)))
  try {
    const given = read(textOptions, 'text', options ?? {})
    const own = given.files
    const files = await readTextFiles(own !== undefined ? [own] : isSought ? placesNear(path) : [])
    if (!options && !files.tokenizer) return 'no tokenizer.json lies beside it, and it has no option text'
    return await TextModel.load(given, files, signature, warn)
  } catch (error) {
    if (options) throw error
    const { message } = error as Error
    warn(`it takes no texts, though a tokenizer.json lies beside it: ${message}`)
    return message
  }
}

export class TextModel {
  private constructor(
    readonly tokens: TextTokens,
    readonly longTexts: 'refuse' | 'truncate',
    /** Whether the beginning of a vector is a vector of its own (Matryoshka), which a request may ask for. */
    readonly dimensions: boolean,
    readonly use: OutputUse,
    private readonly inputs: readonly TensorSpec[],
  ) {}

  /** @throws TypeError, RangeError, Error for a model whose inputs are not tokens, or whose outputs are neither vectors nor scores; for missing files */
  static async load(
    options: TextChoices,
    files: TextFiles,
    { inputs, outputs, batched }: Signature,
    warn: (text: string) => void,
  ): Promise<TextModel> {
    const { longTexts, dimensions, tokenizer, maxTokens = files.maxTokens } = options
    const isToken = ({ name, shape }: TensorSpec) => [IDS, MASK, TYPES].includes(name) && String(shape) === '-1'
    if (batched === false || !inputs.every(isToken) || !inputs.some(({ name }) => name === IDS)) {
      throw new RangeError(`text: expected inputs ${IDS}, ${MASK}, ${TYPES} of any length, got ${shown(inputs)}`)
    }
    const use = useOf(outputs, options, files, warn)
    const own = tokenizer ?? (await tokenizerOf(files))
    if (maxTokens === undefined) warn(`texts have ${WITHOUT_FILES} tokens at most, since no file says: see maxTokens`)
    if (files.prompt) warn('no prompt stands in front of texts: config_sentence_transformers.json has one for callers')
    return new TextModel(new TextTokens(own, maxTokens ?? WITHOUT_FILES), longTexts, dimensions, use, inputs)
  }

  query({ ids, types }: TokenRow): QueryTensors {
    const tensors = this.inputs.map(({ name, type = 'float32' }) => {
      const data = new (kindOf(type as 'int64'))(ids.length) as BigInt64Array
      const asElement = (type.endsWith('64') && type !== 'float64' ? BigInt : Number) as BigIntConstructor
      for (let i = 0; i < ids.length; i++) data[i] = asElement(name === IDS ? ids[i] : name === MASK ? 1 : types[i])
      return [name, { data, shape: [ids.length] }]
    })
    return Object.fromEntries(tensors)
  }

  vector(outputs: Tensors, dimensions?: number, normalize = this.use.normalize): Float32Array {
    const { output, pooling } = this.use
    const whole = pooled(outputs[output], pooling)
    const isCut = dimensions !== undefined && dimensions < whole.length
    const values = isCut ? whole.subarray(0, dimensions) : whole
    if (!(normalize ?? isCut)) return Float32Array.from(values)
    const length = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0)) || 1
    return Float32Array.from(values, (value) => value / length)
  }

  score(outputs: Tensors): number {
    return pooled(outputs[this.use.output], undefined)[0]
  }
}

/** Decides which output is read, and how. @param warn  called for each guess. @throws RangeError for outputs that are neither vectors nor scores */
function useOf(
  outputs: readonly TensorSpec[],
  options: TextChoices,
  files: TextFiles,
  warn: (text: string) => void,
): OutputUse {
  const real = outputs.filter(({ type }) => isReal(type))
  const find = (rank: number, ...names: string[]) => {
    const all = real.filter(({ shape }) => shape.length === rank)
    return all.find(({ name }) => names.includes(name)) ?? all[0]
  }
  const whole = find(1, 'sentence_embedding')
  const tokens = find(2, 'last_hidden_state', 'token_embeddings')
  const normalize = options.normalize ?? files.normalize
  if (whole?.shape[0] === 1) return { output: whole.name, gives: 'score', width: 1 }
  const isVector = whole?.name === 'sentence_embedding' || (whole && whole.name !== 'logits' && !tokens)
  if (isVector && options.pooling === undefined) {
    if (whole.name !== 'sentence_embedding') warn(`'${whole.name}' is taken for the vector of a text`)
    return { output: whole.name, gives: 'vector', width: whole.shape[0], normalize }
  }
  if (!tokens || whole?.name === 'logits') {
    const what = 'vectors of texts or tokens, or one score of a pair of texts'
    throw new RangeError(`text: expected outputs that are ${what}, got ${shown(outputs)}`)
  }
  const named = options.pooling ?? files.pooling()
  const guess = `the mean of '${tokens.name}' over the tokens is the vector of a text, since no file says: see pooling`
  if (named === undefined) warn(guess)
  const pooling = named ?? 'mean'
  return { output: tokens.name, gives: 'vector', width: tokens.shape[1], pooling, normalize: normalize ?? true }
}

/** Makes the tokenizer. @throws Error that says what to install, or which file is needed */
async function tokenizerOf({ tokenizer, config }: TextFiles): Promise<Tokenizer> {
  if (!tokenizer) throw new Error('text.files: expected tokenizer.json among them, got none')
  if (platform.importTokenizer) return new (await platform.importTokenizer())(tokenizer, config) as Tokenizer
  throw new TypeError(expected('text.tokenizer', 'on this runtime a Tokenizer of @huggingface/tokenizers', undefined))
}

function pooled({ data, shape, type = 'float32' }: AnyTensor, pooling: Pooling | undefined): Float64Array {
  const values = Float64Array.from(realsOf(type, data))
  if (!pooling) return values
  const [count, width] = shape
  if (pooling === 'cls') return values.subarray(0, width)
  if (pooling === 'last') return values.subarray((count - 1) * width)
  const mean = new Float64Array(width)
  for (let i = 0; i < values.length; i++) mean[i % width] += values[i]
  return mean.map((sum) => sum / count)
}

function shown(specs: readonly TensorSpec[]): string {
  return specs.map((spec) => `'${spec.name}' [${shownShape(spec)}] ${spec.type ?? 'float32'}`).join(', ')
}
