/** A re-ranker of token ids. */

import { onnx, types } from './onnx'

/** Scores a pair by the share of its second text in the sum of all token ids. */
export const ranker = onnx(
  ['input_ids', 'token_type_ids', 'attention_mask'].map((name) => ({ name, shape: ['b', 's'], type: types.int64 })),
  [{ name: 'logits', shape: ['b', 1] }],
  [
    { op: 'Mul', inputs: ['input_ids', 'token_type_ids'], outputs: ['second'] },
    ...['second', 'input_ids'].flatMap((name) => [
      {
        op: 'Cast',
        inputs: [name],
        outputs: [`${name} as float`],
        ints: { to: types.float32 } as Record<string, number>,
      },
      {
        op: 'ReduceMean',
        inputs: [`${name} as float`],
        outputs: [`${name} mean`],
        ints: { axes: [1], keepdims: 1 } as object as Record<string, number>,
      },
    ]),
    { op: 'Div', inputs: ['second mean', 'input_ids mean'], outputs: ['logits'] },
  ],
)
