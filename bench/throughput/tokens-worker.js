/** A text classifier behind piscina: one run for a batch of queries of one length. */

import { InferenceSession, Tensor } from 'onnxruntime-web'
import { move, workerData } from 'piscina'

const single = { executionProviders: ['wasm'], intraOpNumThreads: 1, interOpNumThreads: 1 }
const session = await InferenceSession.create(workerData.model, single)

export default async function infer({ ids, mask, shape }) {
  const [input_ids, attention_mask] = [ids, mask].map((data) => new Tensor('int64', data, shape))
  const { logits } = await session.run({ input_ids, attention_mask })
  return move(logits.data)
}
