import { describe, expect, it } from 'vitest'
import { trial } from '../../../bench/nats/nats'
import { natsInstalled } from '../../shared/nats-server'

describe.skipIf(!natsInstalled)('approxifer work: 9 workers in 3 processes', () => {
  it('the server restarted, a machine killed, one drained, one joining: every query is answered, by the model', async () => {
    const { phases } = await trial({
      machines: 3,
      workersEach: 3,
      scheme: { queries: 2, stragglers: 1 },
      perSecond: 20,
      phaseMs: 1500,
      namespaces: false,
      events: ['restart', 'kill', 'join', 'cut', 'heal', 'drain'],
    })
    expect(phases.map(({ phase }) => phase)).toEqual([
      'server down for a second',
      '1 of 3 machines killed',
      'as many join',
      '1 of 3 machines cut off',
      'and back',
      '2 of 3 machines drained',
    ])
    for (const { queries, failed, unsettled, wrong } of phases) {
      expect(queries).toBeGreaterThan(20)
      expect([failed, unsettled, wrong]).toEqual([{}, 0, 0])
    }
  })
})
