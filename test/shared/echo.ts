/** A model that gives what it gets, whatever that is: as a worker, and behind a gateway. */

import { copyOf } from '../../src/base/element'
import { type QueryTensors, type Signature, type TensorList, tensorOf, toNamed, toTensors } from '../../src/base/tensor'
import { gatewayOf } from '../../src/gateway/gateway'
import type { Predictor } from '../../src/predictor/predictor'
import type { ModelWorker } from '../../src/workers/worker'

/** What the model answers. */
const echoed = (query: TensorList, { outputs }: Signature): TensorList =>
  query.map(({ data, shape }, i) => tensorOf(outputs[i], copyOf(data), shape))

export class EchoWorker implements ModelWorker {
  onFree: (() => void) | undefined
  readonly name = 'echo'
  readonly fingerprint = 'echo'
  readonly free = true

  constructor(readonly signature: Signature) {}

  async infer(query: TensorList): Promise<TensorList> {
    return echoed(query, this.signature)
  }

  async close(): Promise<void> {}
}

/** A gateway with that model, named m, and no workers behind. @param answer  in place of the model's, to each query */
export async function echoGateway(signature: Signature, answer = echoed) {
  const asked: TensorList[] = []
  const predict = async (query: QueryTensors) => {
    const tensors = toTensors(query, signature.inputs)
    asked.push(tensors)
    const output = toNamed(answer(tensors, signature), signature.outputs)
    return { output, status: 'exact', workers: ['echo'], confidence: undefined, group: 0, ms: 0 }
  }
  const many = () => ({ take: () => true, end() {} })
  const predictOf = (_: unknown, query: QueryTensors) => predict(query)
  const predictor = { signature, predict, predictGiven: predict, many, predictOf, close: async () => {} }
  const gateway = gatewayOf(
    { models: { m: 0 } },
    async () => ({ predictor: predictor as unknown as Predictor, text: 'an echo' }),
    () => '1',
  )
  await gateway.ready()
  const fetch = ((url: string, init: RequestInit) => gateway(new Request(url, init))) as typeof globalThis.fetch
  return { gateway, asked, fetch }
}
