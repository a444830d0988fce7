// A layer of one's own logs what goes through it. It stands in the stack twice: above all other layers, and below them.
import { createPredictor, localWorkers } from 'approxifer'
import { Relay } from 'approxifer/layers'
import { FaultyWorker } from 'approxifer/testing'

/** A caller that writes the outcome down, and passes it on to the caller above. */
class Logging extends Relay {
  constructor(caller, write) {
    super(caller)
    this.write = write
  }
  settled(outcome) {
    this.write(outcome.kind === 'answer' ? `${outcome.status}, by ${outcome.by[0].worker.name}` : outcome.error.message)
    super.settled(outcome)
  }
}

/** A layer makes a service of the service below it. A service gets a query and its caller, and returns a call. */
const log = (name) => (next) => (query, caller) => {
  console.log(`${name}: sent`)
  return next(query, new Logging(caller, (text) => console.log(`${name}: ${text}`)))
}

const model = new URL(import.meta.resolve('approxifer/models/mnist-lenet.onnx'))
const [first, second] = await localWorkers({ model, workers: 2 })
const predictor = await createPredictor({
  workers: [new FaultyWorker(first, { hang: 1 }, 1), second], // the first worker never answers
  layers: (standard) => [log('query'), ...standard, log('attempt')],
})
await predictor.predict(new Float32Array(28 * 28), { deadlineMs: 2000 })
await predictor.close()
