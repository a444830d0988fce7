/** The embedder of test/models/text, its tokenizer, and what the runtime makes of a text without us. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Tokenizer } from '@huggingface/tokenizers'
import * as ort from 'onnxruntime-web'

const folder = new URL('../models/text/', import.meta.url)
export const TEXT_FOLDER = fileURLToPath(folder)
export const EMBEDDER = `${TEXT_FOLDER}embedder.onnx`
export const WIDTH = 128
/** Tokens of the longest text. */
export const LONGEST = 64

export const jsonIn = (name: string) => JSON.parse(readFileSync(new URL(name, folder), 'utf8'))
export const tokenizer = new Tokenizer(jsonIn('tokenizer.json'), jsonIn('tokenizer_config.json'))
export const idsOf = (text: string) => tokenizer.encode(text).ids

let session: Promise<ort.InferenceSession> | undefined

/** The vector of each row of token ids. */
export async function reference(rows: readonly (readonly number[])[]): Promise<Float32Array[]> {
  ort.env.wasm.numThreads = 1
  session ??= ort.InferenceSession.create(readFileSync(EMBEDDER), { executionProviders: ['wasm'] })
  const vectors: Float32Array[] = []
  for (const ids of rows) {
    const tensor = (values: bigint[]) => new ort.Tensor('int64', BigInt64Array.from(values), [1, ids.length])
    const feeds = { input_ids: tensor(ids.map(BigInt)), attention_mask: tensor(ids.map(() => 1n)) }
    vectors.push((await (await session).run(feeds)).sentence_embedding.data as Float32Array)
  }
  return vectors
}

/** How far vectors are apart, at the most in any value. */
export function largestDifference(a: readonly ArrayLike<number>[], b: readonly ArrayLike<number>[]): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY
  const each = a.map((vector, i) => {
    if (vector.length !== b[i].length) return Number.POSITIVE_INFINITY
    return Math.max(...Array.from(vector, (value, j) => Math.abs(value - b[i][j])))
  })
  return Math.max(...each)
}
