/** The APIs for texts: OpenAI's embeddings, and /embed and /rerank of Text Embeddings Inference. */

import { aborted } from '../../base/abort'
import {
  checkBoolean,
  checkInteger,
  checkNames,
  checkObject,
  checkText,
  checkWord,
  expected,
  outOfRange,
  wrongType,
} from '../../base/check'
import { ApproxiferError } from '../../base/errors'
import type { Prediction } from '../../base/prediction'
import { toRaw } from '../../oip/elements'
import { turn } from '../../oip/json'
import { parsed } from '../../oip/json-array'
import type { Message } from '../../oip/write'
import { recallIds } from '../batch'
import { choicesOf, type Exchange, outcomesOf } from '../infer'
import type { Served } from '../models'
import { Refusal } from '../refusal'
import type { TextModel } from './model'
import { type Overlong, type TokenRow, TooLong } from './tokens'

/** Finds models of a gateway for requests that name the model in the body. */
export interface TextModels {
  /** @throws Refusal 404, 503 */
  find(name: string): Served
  /** The names of models with such an output, which the request may ask. */
  giving(gives: 'vector' | 'score'): string[]
}

/** An API's HTTP statuses for a model that cannot do what is asked, and for a text that is too long. */
interface Statuses {
  unable: number
  tooLong: number
}

const OPENAI: Statuses = { unable: 400, tooLong: 400 }
const TEI: Statuses = { unable: 424, tooLong: 413 }
/** The largest body of a request: its JSON is parsed at once, without a turn of the event loop. */
const MOST_BYTES = 2 ** 23
/** Characters, or token ids, that are tokenized before the event loop gets a turn. */
const SLICE = 2 ** 13

const NAMES = ['model', 'truncate', 'parameters']
const EMBEDDINGS = [...NAMES, 'input', 'encoding_format', 'dimensions', 'user']
const EMBED = [...NAMES, 'inputs', 'normalize', 'dimensions', 'truncation_direction']
const RERANK = [...NAMES, 'query', 'texts', 'raw_scores', 'return_text', 'truncation_direction']

/** POST /v1/embeddings */
export async function answerEmbeddings(exchange: Exchange, models: TextModels): Promise<Message> {
  const json = await jsonOf(exchange, EMBEDDINGS)
  const model = checkText('model', json.model, "a model's name")
  const format = checkWord('encoding_format', json.encoding_format ?? 'float', ['float', 'base64'])
  const asked = new TextRequest(exchange, json, models.find(model), 'vector', OPENAI)
  const [rows, outcomes] = await asked.vectors('input', json.input)
  const prompt_tokens = rows.reduce((sum, { ids }) => sum + ids.length, 0)
  const usage = { prompt_tokens, total_tokens: prompt_tokens }
  const rest = { model, usage, parameters: { status: outcomes.map(({ status }) => status), ...recallIds(outcomes) } }
  const textOf = ({ output }: Prediction, index: number) => {
    const { data } = output[KEPT]
    const embedding = format === 'base64' ? `"${base64(toRaw(data))}"` : `[${data.join()}]`
    return `{"object":"embedding","index":${index},"embedding":${embedding}}`
  }
  return listed(outcomes, textOf, '{"object":"list","data":[', `],${JSON.stringify(rest).slice(1)}`)
}

/** POST /embed */
export async function answerEmbed(exchange: Exchange, models: TextModels): Promise<Message> {
  const json = await jsonOf(exchange, EMBED)
  const asked = new TextRequest(exchange, json, models.find(nameIn(json, models, 'vector')), 'vector', TEI)
  const [, outcomes] = await asked.vectors('inputs', json.inputs)
  return listed(outcomes, ({ output }) => `[${output[KEPT].data.join()}]`)
}

/** POST /rerank */
export async function answerRerank(exchange: Exchange, models: TextModels): Promise<Message> {
  const json = await jsonOf(exchange, RERANK)
  const asked = new TextRequest(exchange, json, models.find(nameIn(json, models, 'score')), 'score', TEI)
  const isRaw = checkBoolean('raw_scores', json.raw_scores ?? false)
  const withText = checkBoolean('return_text', json.return_text ?? false)
  const query = checkText('query', json.query, 'a text that is not empty')
  const texts = asked.list('texts', json.texts)
  const outcomes = await asked.scores(query, texts)
  const ranks = outcomes.map(({ output, status, id }, index) => {
    const [value] = output[KEPT].data
    const score = isRaw ? value : 1 / (1 + Math.exp(-value))
    return {
      index,
      ...(withText && { text: texts[index] }),
      score,
      ...(status !== 'exact' && { status }),
      ...(id !== undefined && { recall_id: id }),
    }
  })
  return listed(
    ranks.sort((a, b) => b.score - a.score || a.index - b.index),
    (rank) => JSON.stringify(rank),
  )
}

/** The name of the only output that is kept of an answer: a text's vector, or a score. */
const KEPT = 'text'

class TextRequest {
  readonly #text: TextModel
  readonly #overlong: Overlong

  constructor(
    private readonly exchange: Exchange,
    private readonly json: Record<string, unknown>,
    private readonly served: Served,
    gives: 'vector' | 'score',
    private readonly statuses: Statuses,
  ) {
    const { text } = served
    const what = gives === 'vector' ? 'vectors of texts' : 'one score of a pair of texts, as a re-ranker does'
    const got = typeof text === 'string' ? `one that takes no texts: ${text}` : `one that gives a ${text.use.gives}`
    if (typeof text === 'string' || text.use.gives !== gives) {
      throw new Refusal(statuses.unable, `the model: expected one that gives ${what}, got ${got}`)
    }
    exchange.enter(served)
    this.#text = text
    const isCut = checkBoolean('truncate', json.truncate ?? text.longTexts === 'truncate')
    const sides = ['left', 'right', 'Left', 'Right']
    const side = checkWord('truncation_direction', json.truncation_direction ?? 'right', sides)
    this.#overlong = isCut ? (side.toLowerCase() as Overlong) : 'refuse'
  }

  /** Checks that a field is a list of a permitted length. @throws TypeError, RangeError, Refusal */
  list(field: string, value: unknown): readonly unknown[] {
    if (!Array.isArray(value)) throw wrongType(expected(field, 'an array', value))
    if (!value.length) throw new Refusal(400, `${field}: expected at least one, got none`, {}, { error_type: 'empty' })
    checkInteger(`${field}.length`, value.length, 1, this.exchange.maxRows)
    return value
  }

  /** The vectors of texts. @param input  a text, the ids of its tokens, or an array of either */
  async vectors(field: string, input: unknown): Promise<[TokenRow[], Prediction[]]> {
    const { dimensions: wanted, normalize } = this.json
    const text = this.#text
    const { width } = text.use
    const dimensions = wanted == null ? undefined : checkInteger('dimensions', wanted, 1, width > 0 ? width : undefined)
    if (dimensions !== undefined && dimensions !== width && !text.dimensions) {
      throw outOfRange(expected('dimensions', `${width}, as this model gives`, dimensions))
    }
    const isNormalized = normalize == null ? undefined : checkBoolean('normalize', normalize)
    const isOne = typeof input === 'string' || (Array.isArray(input) && typeof input[0] === 'number')
    const items = isOne ? [input] : this.list(field, input)
    const rows = await this.#rows(items, (item, i) => {
      const own = isOne ? field : `${field}[${i}]`
      return Array.isArray(item)
        ? text.tokens.given(own, item, this.#overlong)
        : text.tokens.row(own, [item], this.#overlong)
    })
    return [rows, await this.#ask(rows, ({ output }) => text.vector(output, dimensions, isNormalized))]
  }

  async scores(query: string, texts: readonly unknown[]): Promise<Prediction[]> {
    const text = this.#text
    const rows = await this.#rows(texts, (item, i) => text.tokens.row(`texts[${i}]`, [query, item], this.#overlong))
    return this.#ask(rows, ({ output }) => Float32Array.of(text.score(output)))
  }

  /** Tokenizes items in slices. @throws Refusal for a text that is too long; ApproxiferError where the client has left */
  async #rows(items: readonly unknown[], rowOf: (item: unknown, i: number) => TokenRow): Promise<TokenRow[]> {
    const { signal } = this.exchange.event.request
    const rows: TokenRow[] = []
    let read = 0
    try {
      for (const [i, item] of items.entries()) {
        rows.push(rowOf(item, i))
        read += (item as string | readonly number[]).length
        if (read < SLICE) continue
        read = 0
        await turn()
        if (signal.aborted) throw aborted(signal)
      }
      return rows
    } catch (error) {
      if (!(error instanceof TooLong)) throw error
      throw new Refusal(this.statuses.tooLong, error.message, {}, { code: 'context_length_exceeded' })
    }
  }

  async #ask(rows: readonly TokenRow[], read: (prediction: Prediction) => Float32Array): Promise<Prediction[]> {
    const { allow_partial, ...parameters } = checkObject('parameters', this.json.parameters ?? {})
    if (allow_partial)
      throw wrongType(expected('parameters.allow_partial', 'none where texts are asked for', allow_partial))
    const keep = (prediction: Prediction) => {
      const data = read(prediction)
      if (!data.every(Number.isFinite)) throw new ApproxiferError('PROTOCOL', 'the model answered with NaN or Inf')
      return { ...prediction, output: { [KEPT]: { data, shape: [data.length] } } }
    }
    const queries = rows.map((row) => this.#text.query(row))
    const outcomes = await outcomesOf(this.exchange, this.served, queries, { ...choicesOf(parameters), keep })
    return outcomes.flatMap((outcome) => ('prediction' in outcome ? outcome.prediction : [])) // without allow_partial, all have succeeded
  }
}

/** @throws TypeError, RangeError, Refusal */
async function jsonOf({ body }: Exchange, names: readonly string[]): Promise<Record<string, unknown>> {
  const json = checkObject('the body', parsed(await body(MOST_BYTES)))
  checkNames('', json, names)
  return json
}

/** The model that a request names. It need not, if only one has such an output: servers of Text Embeddings Inference have a single model. */
function nameIn({ model }: Record<string, unknown>, models: TextModels, gives: 'vector' | 'score'): string {
  const names = models.giving(gives)
  const one = names.length === 1 ? names[0] : undefined
  return checkText('model', model ?? one, `one of ${names.join(', ') || 'none'}`)
}

/** A JSON array as a message, written element by element. */
function listed<T>(list: T[], textOf: (element: T, i: number) => string, before = '[', behind = ']'): Message {
  function* text() {
    yield before
    for (const [i, element] of list.entries()) yield `${i ? ',' : ''}${textOf(element, i)}`
    yield behind
  }
  return { text }
}

function base64(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += SLICE) text += String.fromCharCode(...bytes.subarray(at, at + SLICE))
  return btoa(text)
}
