/** The film: what happens to a plain queue, and not to a predictor, with the same machines, digits and faults. */

import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { filmed } from '../../scripts/film-today'
import { warningOf } from '../../site/film/scene'
import { loadDigits } from '../../src/cli/demo/digits'
import type { Digits } from '../../src/film/digits'
import { approxifer, Film, hedgedQueue, plainQueue } from '../../src/film/film'
import type { FilmCall } from '../../src/film/machine'
import { SCRIPT } from '../../src/film/script'

let digits: Digits
beforeAll(async () => {
  digits = await loadDigits()
})

const systems = [plainQueue, hedgedQueue(0.95), approxifer]

describe('the film', () => {
  let film: Film
  beforeAll(async () => {
    film = await Film.of(digits, systems)
    film.play(SCRIPT)
    await film.advance(12_000)
  })

  it('all bands are asked the same digits at the same times', () => {
    const [plain, ...others] = film.bands.map(({ given }) => {
      const settled = given.filter(({ askedAt }) => askedAt >= 0 && askedAt < 10_000)
      return settled.map(({ digit, askedAt }) => [digit, askedAt]).sort(([, a = 0], [, b = 0]) => a - b)
    })
    expect(plain.length).toBeGreaterThan(100)
    expect(others).toEqual([plain, plain])
  })

  it('a plain queue and a hedge hand out wrong answers; a predictor none, and answers each query', () => {
    const [plain, hedged, ours] = film.bands
    expect(plain.wrong).toBeGreaterThan(5)
    expect(hedged.wrong).toBeGreaterThan(5)
    expect(ours.given.filter(({ isRight }) => !isRight)).toEqual([])
    expect(ours.slowestMs).toBeLessThan(0.75 * plain.slowestMs)
  })

  it('the liar is out two seconds after its first lie, and no honest machine is', () => {
    const [[machine, at], ...others] = film.bands[2].ejected
    expect([machine, others]).toEqual([5, []])
    expect(at).toBeLessThan(7000)
    const { calls } = film.bands[2]
    const share = (from: number) =>
      calls.filter((call) => call.machine === 5 && call.began > from).length /
      calls.filter((call) => call.began > from).length
    expect(share(at + 1000)).toBeLessThan(0.1) // it is tried now and then
  })

  it('the memory answers some of the queries that are late', () => {
    expect(film.bands[2].given.filter(({ status }) => status === 'recovered').length).toBeGreaterThan(3)
  })

  it('a digit that was drawn by hand is answered by the model', async () => {
    const [answer] = digits.answers
    const query = digits.images[0].map((value) => value * 0.9)
    const given = film.ask(query, answer)
    await film.advance(14_000)
    expect(await given).toMatchObject({ digit: undefined, isRight: true })
  })

  it('the same seed gives the same film', async () => {
    const again = await Film.of(digits, systems)
    again.play(SCRIPT)
    await again.advance(3000)
    const until = ({ began }: FilmCall) => began < 2500
    const times = ({ began, machine }: FilmCall) => [began, machine]
    for (const [i, { calls }] of again.bands.entries())
      expect(calls.filter(until).map(times)).toEqual(film.bands[i].calls.filter(until).map(times))
    await again.close()
  })
})

describe('a machine', () => {
  it('that is well again answers the query at which it hung', async () => {
    const film = await Film.of(digits, [plainQueue])
    const [{ machines, calls }] = film.bands
    for (const machine of machines.keys()) film.fault(machine, 'hung')
    await film.advance(500)
    expect(calls.filter(({ ended }) => ended === undefined).length).toBeGreaterThan(2)
    for (const machine of machines.keys()) film.fault(machine, undefined)
    await film.advance(520)
    expect(calls.filter(({ outcome }) => outcome === 'answered').length).toBeGreaterThan(2)
    await film.close()
  })

  it('that is slow, or dead, is seen to be', async () => {
    const film = await Film.of(digits, [plainQueue])
    film.fault(0, 'slow')
    film.fault(1, 'dead')
    await film.advance(4000)
    const [{ calls }] = film.bands
    const of = (machine: number) => calls.filter((call) => call.machine === machine)
    expect(of(0).some(({ began, ended = 0, outcome }) => outcome === 'given up' && ended - began === 1000)).toBe(true)
    expect(of(1).filter(({ outcome }) => outcome !== 'failed')).toEqual([])
    await film.close()
  })
})

describe('more liars than it is set for', () => {
  async function lying(...machines: number[]) {
    const film = await Film.of(digits, [approxifer])
    const [band] = film.bands
    const report = () =>
      band.machines.map(({ fault }, i) => ({ fault, isEjected: band.ejected.has(i), isPassedOver: false }))
    await film.advance(1000)
    for (const machine of machines) film.fault(machine, 'lying')
    return { film, ejected: band.ejected, warning: () => warningOf(report()) }
  }

  it('the film says so before honest machines are ejected', async () => {
    const { film, ejected, warning } = await lying(0, 1, 2)
    expect(warning()).toMatch(/^3 machines lie at once, more than the 1 it is set for/)
    const isHonestOut = () => [...ejected.keys()].some((machine) => machine > 2)
    expect(isHonestOut()).toBe(false)
    for (let at = 1000; !isHonestOut() && at < 5000; at += 50) await film.advance(at)
    expect(isHonestOut()).toBe(true)
    await film.close()
  })

  it('of one liar, and of a second one when the first is out, there is no warning, and no honest machine is ejected', async () => {
    const { film, ejected, warning } = await lying(0)
    expect(warning()).toBe('')
    for (let at = 1000; !ejected.size && at < 5000; at += 50) await film.advance(at)
    film.fault(1, 'lying')
    expect(warning()).toBe('')
    await film.advance(8000)
    expect([...ejected.keys()]).toEqual([0, 1])
    await film.close()
  })
})

it("docs/film.svg is today's film (npm run film)", async () => {
  expect(readFileSync('docs/film.svg', 'utf8') === (await filmed(digits))).toBe(true)
})
