/** How a model is read that is asked with texts: its inputs, what of its outputs is a vector or a score, and what the files beside it say. */

import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Signature, TensorSpec, Tensors } from '../../../src/base/tensor'
import { TextModel, textModelOf } from '../../../src/gateway/text/model'
import type { TextOptions } from '../../../src/gateway/text/options'
import { jsonIn, TEXT_FOLDER, tokenizer } from '../../shared/embedder'

const ids: TensorSpec = { name: 'input_ids', shape: [-1], type: 'int64' }
const mask: TensorSpec = { ...ids, name: 'attention_mask' }
const kinds: TensorSpec = { ...ids, name: 'token_type_ids' }
const hidden: TensorSpec = { name: 'last_hidden_state', shape: [-1, 2] }
const sentence: TensorSpec = { name: 'sentence_embedding', shape: [2] }
const logit: TensorSpec = { name: 'logits', shape: [1] }

const encoder = (outputs: TensorSpec[], inputs = [ids, mask], more: Partial<Signature> = {}): Signature => {
  return { inputs, outputs, ...more }
}
/** Files of sentence-transformers, with this pooling. */
const filesOf = (pooling: object, ...modules: string[]) => ({
  'tokenizer.json': jsonIn('tokenizer.json'),
  '1_Pooling/config.json': pooling,
  'modules.json': ['Transformer', 'Pooling', ...modules].map((name, i) => {
    return { path: i ? `${i}_${name}` : '', type: `sentence_transformers.models.${name}` }
  }),
})

async function load(options: TextOptions | undefined, signature: Signature, model?: unknown) {
  const warnings: string[] = []
  const text = await textModelOf(options, model, signature, (warning) => warnings.push(warning))
  return { text, warnings }
}
async function loaded(options: TextOptions, signature: Signature) {
  const { text, warnings } = await load({ tokenizer, maxTokens: 16, ...options }, signature)
  if (!(text instanceof TextModel)) throw new Error(text)
  return { text, warnings }
}
const threeTokens: Tensors = {
  last_hidden_state: { data: Float32Array.of(3, 4, 0, 1, 3, 1), shape: [3, 2] },
  sentence_embedding: { data: Float32Array.of(6, 8), shape: [2] },
  pooler_output: { data: Float32Array.of(1, 2), shape: [2] },
}
const vectorOf = async (options: TextOptions, signature: Signature) => {
  const { text } = await loaded(options, signature)
  return [...text.vector(threeTokens)].map((value) => Math.round(value * 1e4) / 1e4)
}

describe('a query', () => {
  it('has what the model takes, in its types, in whatever order', async () => {
    const { text } = await loaded({}, encoder([sentence], [kinds, { ...mask, type: 'int32' }, ids]))
    expect(text.query({ ids: [2, 43, 3, 44, 3], types: [0, 0, 0, 1, 1] })).toEqual({
      token_type_ids: { data: BigInt64Array.of(0n, 0n, 0n, 1n, 1n), shape: [5] },
      attention_mask: { data: Int32Array.of(1, 1, 1, 1, 1), shape: [5] },
      input_ids: { data: BigInt64Array.of(2n, 43n, 3n, 44n, 3n), shape: [5] },
    })
  })

  it.each([
    [encoder([sentence], [mask])],
    [encoder([sentence], [ids, { ...ids, name: 'position_ids' }])],
    [encoder([sentence], [{ ...ids, shape: [16] }])],
    [encoder([sentence], [ids], { batched: false })],
    [encoder([sentence], [{ name: 'x', shape: [784] }])],
  ])('is none where the model takes something else', async (signature) => {
    const message = /^text: expected inputs input_ids, attention_mask, token_type_ids of any length, got '/
    await expect(loaded({}, signature)).rejects.toThrow(message)
  })
})

describe('a vector', () => {
  it.each<[string, TextOptions, TensorSpec[], number[]]>([
    ['sentence_embedding as it is', {}, [hidden, sentence], [6, 8]],
    ['that of length 1, where an option says so', { normalize: true }, [sentence], [0.6, 0.8]],
    ['or a file', { files: filesOf({}, 'Normalize') }, [sentence], [0.6, 0.8]],
    ['not where the option says otherwise', { files: filesOf({}, 'Normalize'), normalize: false }, [sentence], [6, 8]],
    ['else the mean of the tokens, of length 1', {}, [hidden], [0.7071, 0.7071]],
    ['or as it is', { normalize: false }, [hidden], [2, 2]],
    ['the first token’s', { pooling: 'cls', normalize: false }, [hidden], [3, 4]],
    ['the last one’s', { pooling: 'last', normalize: false }, [hidden], [3, 1]],
    ['also beside sentence_embedding', { pooling: 'cls', normalize: false }, [sentence, hidden], [3, 4]],
    ['what files say', { files: filesOf({ pooling_mode_cls_token: true, pooling_mode_mean_tokens: false }) }, [hidden], [3, 4]], // biome-ignore format: one line
    ['normalised as they say', { files: filesOf({ pooling_mode: 'lasttoken' }, 'Normalize') }, [hidden], [0.9487, 0.3162]], // biome-ignore format: one line
    ['options before files', { files: filesOf({ pooling_mode: 'max' }), pooling: 'mean' }, [hidden], [2, 2]],
    ['the only one there is', {}, [{ name: 'pooler_output', shape: [2] }], [1, 2]],
  ])('%s', async (_, options, outputs, expected) => {
    expect(await vectorOf(options, encoder(outputs))).toEqual(expected)
  })

  it('is cut to its first values, then of length 1 unless the option says otherwise', async () => {
    const cut = async (options: TextOptions) => (await loaded(options, encoder([sentence]))).text.vector(threeTokens, 1)
    expect([...(await cut({}))]).toEqual([1])
    expect([...(await cut({ normalize: false }))]).toEqual([6])
  })

  it.each<[TextOptions, TensorSpec[], string]>([
    [{}, [{ name: 'logits', shape: [24] }], "outputs that are vectors of texts or tokens, or one score of a pair of texts, got 'logits' [24] float32"], // biome-ignore format: one line
    [{}, [{ name: 'label', shape: [1], type: 'int64' }], "got 'label' [1] int64"],
    [{ pooling: 'mean' }, [sentence], "got 'sentence_embedding' [2] float32"],
    [{ files: filesOf({ pooling_mode: 'max' }) }, [hidden], '1_Pooling/config.json: expected one of mean, cls, last, got "max"'], // biome-ignore format: one line
    [{ files: filesOf({ pooling_mode_mean_tokens: true, pooling_mode_cls_token: true }) }, [hidden], 'got "pooling_mode_mean_tokens, pooling_mode_cls_token"'], // biome-ignore format: one line
    [{ files: filesOf({ pooling_mode: 'mean' }, 'Dense') }, [hidden], 'modules.json: expected Transformer, Pooling and Normalize, got "sentence_transformers.models.Dense"'], // biome-ignore format: one line
  ])('is none: %o', async (options, outputs, message) => {
    await expect(loaded(options, encoder(outputs))).rejects.toThrow(message)
  })
})

it('what is a guess is said', async () => {
  expect((await loaded({}, encoder([hidden]))).warnings).toEqual([
    "the mean of 'last_hidden_state' over the tokens is the vector of a text, since no file says: see pooling",
  ])
  expect((await loaded({}, encoder([{ name: 'y', shape: [2] }]))).warnings).toEqual([
    "'y' is taken for the vector of a text",
  ])
  const { warnings } = await load({ tokenizer }, encoder([sentence]))
  expect(warnings).toEqual(['texts have 512 tokens at most, since no file says: see maxTokens'])
  const files = { 'config_sentence_transformers.json': { prompts: { query: 'query: ' }, default_prompt_name: 'query' } } // biome-ignore format: one line
  expect((await loaded({ files }, encoder([sentence]))).warnings).toEqual([
    'no prompt stands in front of texts: config_sentence_transformers.json has one for callers',
  ])
  expect((await loaded({ pooling: 'mean' }, encoder([hidden]))).warnings).toEqual([])
})

describe('the longest text', () => {
  it.each<[string, object, number]>([
    ['sentence-transformers', { 'sentence_bert_config.json': { max_seq_length: 128 }, 'tokenizer_config.json': { model_max_length: 512 } }, 128], // biome-ignore format: one line
    ['the tokenizer and the model, whichever is less', { 'sentence_bert_config.json': {}, 'tokenizer_config.json': { model_max_length: 512 }, 'config.json': { max_position_embeddings: 256 } }, 256], // biome-ignore format: one line
    ['not a tokenizer without one', { 'tokenizer_config.json': { model_max_length: 1e30 }, 'config.json': { max_position_embeddings: 300 } }, 300], // biome-ignore format: one line
    ['RoBERTa, whose places begin behind the padding', { 'config.json': { max_position_embeddings: 514, pad_token_id: 1, model_type: 'xlm-roberta' } }, 512], // biome-ignore format: one line
  ])('is as %s says', async (_, files, most) => {
    const { text } = await loaded({ files: files as TextOptions['files'], maxTokens: undefined }, encoder([sentence]))
    expect(text.tokens.most).toBe(most)
  })
})

describe('files', () => {
  const folder = () => {
    const path = mkdtempSync(join(tmpdir(), 'approxifer-text-'))
    onTestFinished(() => rmSync(path, { recursive: true }))
    return path
  }
  const copied = (to: string) => cpSync(join(TEXT_FOLDER, 'tokenizer.json'), join(to, 'tokenizer.json'))

  it('lie beside the model, or above its folder onnx, or where the option says', async () => {
    const path = folder()
    copied(path)
    mkdirSync(join(path, 'onnx'))
    for (const [options, model] of [
      [undefined, join(path, 'model.onnx')],
      [undefined, join(path, 'onnx', 'model.onnx')],
      [undefined, pathToFileURL(join(path, 'model.onnx'))],
      [{ files: path }, new Uint8Array()],
      [{ files: pathToFileURL(`${path}/`) }, undefined],
    ] as const) {
      expect((await load(options, encoder([sentence]), model)).text).toBeInstanceOf(TextModel)
    }
  })

  it('of a model that nobody asks with texts are not needed; what hinders is then no error, and said', async () => {
    const path = folder()
    const model = join(path, 'model.onnx')
    const nothing = { text: 'no tokenizer.json lies beside it, and it has no option text', warnings: [] }
    expect(await load(undefined, encoder([sentence]), model)).toEqual(nothing)
    expect(await load(undefined, encoder([sentence]), 'http://127.0.0.1:1/model.onnx')).toEqual(nothing)
    await expect(load({}, encoder([sentence]), model)).rejects.toThrow('text.files: expected tokenizer.json among them')
    copied(path)
    const label: TensorSpec = { name: 'logits', shape: [24] }
    const { text, warnings } = await load(undefined, encoder([label]), model)
    expect(text).toMatch(/^text: expected outputs/)
    expect(warnings).toEqual([`it takes no texts, though a tokenizer.json lies beside it: ${text}`])
    writeFileSync(join(path, 'modules.json'), '[')
    await expect(load({}, encoder([sentence]), model)).rejects.toThrow(/modules\.json: expected a file of JSON: /)
  })
})

it('one score of a pair is a score', async () => {
  const { text } = await loaded({}, encoder([logit]))
  expect(text.use.gives).toBe('score')
  expect(text.score({ logits: { data: Float32Array.of(-2), shape: [1] } })).toBe(-2)
})

it('options are checked by name', async () => {
  const wrong = (options: object) => expect(load(options, encoder([sentence]))).rejects
  await wrong({ tokenizer, poolin: 'mean' }).toThrow("text.poolin: expected 'pooling', got an unknown option")
  await wrong({ tokenizer, pooling: 'max' }).toThrow("text.pooling: expected 'mean' | 'cls' | 'last', got \"max\"")
  await wrong({ tokenizer: {} }).toThrow('text.tokenizer: expected a Tokenizer of @huggingface/tokenizers')
})
