// Workers of one's own. A worker is any object with these members: here a function that doubles its input, but it might
// as well ask a server. Nothing of onnxruntime-web is loaded.
import { createPredictor } from 'approxifer'

const signature = { inputs: [{ name: 'x', shape: [2] }], outputs: [{ name: 'y', shape: [2] }] }

function doubling(name, ms) {
  let busy = false
  return {
    name,
    signature,
    get free() {
      return !busy
    },
    onFree: undefined, // the predictor puts a listener here: call it when `free` turns true
    async infer([{ data, shape }]) {
      // a tensor for each input, and one for each output
      busy = true
      await new Promise((resolve) => setTimeout(resolve, ms))
      busy = false
      this.onFree?.()
      return [{ data: data.map((value) => 2 * value), shape }]
    },
    restart() {},
    async close() {},
  }
}

// Three queries on four workers; the first one is late, and its answer is recovered from the others and a parity: about [ 2, -2 ].
const workers = [doubling('late', 500), doubling('a', 5), doubling('b', 5), doubling('c', 5)]
const predictor = await createPredictor({
  scheme: { queries: 3, stragglers: 1 },
  policy: 'recover',
  workers,
})
const queries = [1, 2, 3].map((x) => Float32Array.of(x, -x))
for (const { output, status } of await predictor.predictAll(queries)) console.log(status, [...output.y.data])
await predictor.close()
