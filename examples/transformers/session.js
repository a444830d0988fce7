// What a pipeline of transformers.js calls a session, answered by a predictor: its workers run the model.
import { Tensor } from '@huggingface/transformers'

/**
 * Puts a predictor in the place of a pipeline's session, which is released.
 *
 * @param pipe  of a task with one forward pass: feature extraction, classification, question answering
 * @returns the same pipeline; its `dispose()` closes the predictor
 */
export async function withWorkers(pipe, predictor) {
  const own = pipe.model.sessions
  await own.model.release()
  own.model = predictorSession(predictor)
  return pipe
}

/** Each text of a batch is a query of its own, so that the batch is spread over the workers. */
function predictorSession(predictor) {
  const { inputs, outputs } = predictor.signature
  return {
    inputNames: inputs.map(({ name }) => name),
    outputNames: outputs.map(({ name }) => name),
    release: () => predictor.close(),
    async run(feeds) {
      const [count] = feeds[inputs[0].name].dims
      const queries = Array.from({ length: count }, (_, i) => queryOf(feeds, i, count))
      const answers = await predictor.predictAll(queries)
      return Object.fromEntries(outputs.map(({ name }) => [name, stacked(answers.map(({ output }) => output[name]))]))
    },
  }
}

function queryOf(feeds, i, count) {
  const query = Object.entries(feeds).map(([name, { data, dims, type }]) => {
    const length = data.length / count
    return [name, { data: data.subarray(i * length, (i + 1) * length), shape: dims.slice(1), type }]
  })
  return Object.fromEntries(query)
}

/** Answers of equal shapes as one tensor of transformers.js, which would make one of a runtime's. */
function stacked(answers) {
  const [{ data, shape, type = 'float32' }] = answers
  const all = new data.constructor(data.length * answers.length)
  for (const [i, answer] of answers.entries()) all.set(answer.data, i * data.length)
  return new Tensor(type, all, [answers.length, ...shape])
}
