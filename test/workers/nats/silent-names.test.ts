import { createPredictor } from 'approxifer'
import { natsWorkers, serveNats } from 'approxifer/nats'
import { describe, expect, it } from 'vitest'
import { HandWorker } from '../../shared/hand-predictor'
import { natsFleets, row } from '../../shared/nats-fleet'
import { natsInstalled } from '../../shared/nats-server'
import { until } from '../../shared/waiting'

const fleets = natsFleets()

describe.skipIf(!natsInstalled)('one machine of a NATS fleet', () => {
  it('lends 100 names that never answer: beside five others every query is answered', async () => {
    const fleet = fleets.newName()
    for (let i = 0; i < 5; i++) await fleets.double(fleet, `h${i}`)
    const silent = Array.from({ length: 100 }, (_, i) => new HandWorker(`s${i}`))
    const service = await serveNats(fleets.url, { fleet, name: 's', workers: silent })
    fleets.end(() => service.close())
    const workers = natsWorkers(fleets.url, { fleet, onWarning: () => {} })
    const predictor = await createPredictor({ workers, deadlineMs: 5000, onWarning: () => {} })
    fleets.end(() => predictor.close())
    await until(() => predictor.stats().workers.length === 105)
    const outcomes: string[] = []
    for (let i = 0; i < 60; i++) {
      const given = Array.from({ length: 5 }, (_, k) => predictor.predict(row(5 * i + k)))
      for (const outcome of await Promise.allSettled(given)) outcomes.push(outcome.status)
    }
    expect(outcomes.filter((status) => status === 'rejected').length).toBeLessThanOrEqual(3)
    expect(silent.reduce((sum, { calls }) => sum + calls.length, 0)).toBeLessThan(20)
  })
})
