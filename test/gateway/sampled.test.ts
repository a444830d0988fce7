/** Answers that are sampled, over the gateway: its client knows by which id each may be recalled. */

import { expect, it, vi } from 'vitest'
import { HandWorker, turn } from '../shared/house'
import { answerOf, inputOf, model, post, started } from '../shared/started-gateway'

it('a reply has an id for each row that may be recalled, and none where all are exact', async () => {
  const doubles = (name: string, factor: number) => Object.assign(new HandWorker(name), { factor, trusted: factor === 2 }) // biome-ignore format: one line
  const workers = [doubles('w0', 2), doubles('w1', -3)]
  const onRecall = vi.fn()
  const { gateway } = await started({}, { m: model(workers as never, { verify: { mode: 'sampled', rate: 1 }, onRecall }) }) // biome-ignore format: one line
  const serve = async () => {
    for (let open = true; open; await turn()) {
      open = workers.some(({ calls }) => calls.length)
      for (const { calls, factor } of workers) calls[0]?.answer(calls[0].row.map((x) => factor * x))
    }
  }
  const ask = async (rows: number) => {
    const answer = answerOf(
      gateway,
      post(
        inputOf(
          rows,
          Array.from({ length: 2 * rows }, (_, i) => i + 1),
        ),
      ),
    )
    for (let i = 0; i < 5; i++) await turn()
    await serve()
    return (await answer).json.parameters
  }
  const { status, recall_id } = await ask(2)
  expect([...status].sort()).toEqual(['audited', 'exact'])
  expect(recall_id.map((id: number | null) => id !== null)).toEqual(status.map((each: string) => each === 'audited'))
  expect(onRecall.mock.calls).toEqual([[{ worker: 'w1', identity: 'w1', ids: recall_id.filter(Boolean) }]])
  expect(await ask(2)).not.toHaveProperty('recall_id')
})
