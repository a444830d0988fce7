// Workers of one's own: any object with these members. This one doubles its input; another might ask a server. There is
// no model file, and onnxruntime-web is not loaded.
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

// Three queries and a parity, their mean, on four workers. The first worker is late: its answer, 2 -2, is estimated from the
// other three.
const workers = [doubling('late', 500), doubling('a', 5), doubling('b', 5), doubling('c', 5)]
const predictor = await createPredictor({
  scheme: { queries: 3, stragglers: 1 },
  policy: 'recover',
  right: { within: 0.5 }, // which recovered values count as right, for the statistics
  workers,
})
const queries = [1, 2, 3].map((x) => Float32Array.of(x, -x))
for (const { output, status } of await predictor.predictAll(queries)) console.log(status, ...output.y.data)
await predictor.close()
