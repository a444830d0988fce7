/** Every element type over NATS. */

import { describe, expect, it } from 'vitest'
import type { Signature, TensorList } from '../../../src/base/tensor'
import { EchoWorker } from '../../shared/echo'
import { bitsOfAll, everyType, everyValue } from '../../shared/element-values'
import { joined, natsFleets } from '../../shared/nats-fleet'
import { natsInstalled } from '../../shared/nats-server'

describe.skipIf(!natsInstalled)('over a server', () => {
  const fleets = natsFleets()

  it.each([
    [true, true],
    [true, false],
    [false, true],
    [false, false],
  ])('comes to the worker and back, to the bit (lengths that differ: %s, batched: %s)', async (isOpen, batched) => {
    const signature: Signature = { ...everyType(isOpen), ...(!batched && { batched }) }
    const { changes } = await fleets.start([new EchoWorker(signature) as never])
    const worker = await joined(changes)
    expect(worker.signature).toEqual(signature)
    const answers: TensorList[] = []
    for (const row of [0, 1, 2]) answers.push(await worker.infer(everyValue(row) as never))
    expect(answers.map(bitsOfAll)).toEqual([0, 1, 2].map((row) => bitsOfAll(everyValue(row))))
  })

  it('texts longer than a message, and lengths of 0', async () => {
    const specs = [{ name: 'x', shape: [-1], type: 'string' as const }]
    const { changes } = await fleets.start([new EchoWorker({ inputs: specs, outputs: specs }) as never])
    const worker = await joined(changes)
    const of = (...data: string[]) => [{ data, shape: [data.length], type: 'string' as const }]
    for (const query of [of('🙂'.repeat(1e6), '', 'b'), of()]) {
      expect(bitsOfAll(await worker.infer(query as never))).toEqual(bitsOfAll(query))
    }
  })
})
