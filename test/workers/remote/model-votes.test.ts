/** Which model a fleet goes on with: that of more machines, whatever names they give to how many workers. */

import { describe, expect, it } from 'vitest'
import { seeded } from '../../../src/base/random'
import { Census, type ModelVote, successor } from '../../../src/workers/remote/model-votes'

const isSame = (a: string, b: string) => a === b
const sighting = (identity: string, model: string, { there = true, trusted = false } = {}): ModelVote<string> => ({ identity, trusted, model, there }) // biome-ignore format: one line
const of = (model: string, ...identities: string[]) => identities.map((identity) => sighting(identity, model))
const lost = (model: string, ...identities: string[]) => identities.map((identity) => sighting(identity, model, { there: false })) // biome-ignore format: one line
const yours = (model: string, ...identities: string[]) => identities.map((identity) => sighting(identity, model, { trusted: true })) // biome-ignore format: one line
const names = (many: number, identity: string, model: string) => Array.from({ length: many }, () => sighting(identity, model)) // biome-ignore format: one line

describe('the model', () => {
  it.each<[string, ModelVote<string>[], string | undefined, number?]>([
    ['stays while as many machines have it', [...of('old', 'a'), ...of('new', 'b')], undefined],
    ['is that of the others when they are more', [...of('old', 'a'), ...of('new', 'b', 'c')], 'new'],
    ['is that of most others when none has', [...of('b', 'a'), ...of('new', 'b', 'c')], 'new'],
    ['of equally many that of the first', [...of('b', 'a'), ...of('new', 'b')], 'b'],
    ['stays while as many that had it may come back', [...lost('old', 'a'), ...of('new', 'b')], undefined],
    ['is that of more than may come back', [...lost('old', 'a'), ...of('new', 'b', 'c')], 'new'],
    ['is not that of one that is lost', lost('new', 'a'), undefined],
    ['stays beside one with many names', [...of('old', 'a', 'b'), ...names(10_000, 'c', 'new')], undefined],
    ['stays beside two with many names', [...of('old', 'a', 'b'), ...names(12, 'c', 'new'), ...names(12, 'd', 'new')], undefined], // biome-ignore format: one line
    ['is not that of a machine with several', [...of('new', 'a'), ...of('newer', 'a')], undefined],
    ['stays where a machine has both', [...of('old', 'a'), ...of('new', 'a', 'b')], undefined],
    ['goes over where the only machine came back with another', [...lost('old', 'a'), ...of('new', 'a')], 'new'],
    ['goes over where the second of two came back', [...lost('old', 'a', 'b'), ...of('new', 'a', 'b')], 'new'],
    ['is not that of as many as may lie, though nobody is left', of('new', 'a'), undefined, 1],
    ['is that of more than may lie', of('new', 'a', 'b'), 'new', 1],
    ['stays whatever strangers say where any may lie', [...of('old', 'a'), ...of('new', 'b', 'c')], undefined, Number.POSITIVE_INFINITY], // biome-ignore format: one line
    ['is that of yours where any may lie', [...of('old', 'a', 'b'), ...yours('new', 'c')], 'new', Number.POSITIVE_INFINITY], // biome-ignore format: one line
    ['is that of yours, however many others there are', [...of('new', 'a', 'b', 'c'), ...yours('old', 'd')], undefined],
    ['is that of yours, though more have the old one', [...of('old', 'a', 'b', 'c'), ...yours('new', 'd')], 'new'],
    [
      'stays while as many of yours have it',
      [...yours('old', 'd'), ...yours('new', 'e'), ...of('new', 'a')],
      undefined,
    ],
  ])('%s', (_, seen, next, liars) => {
    expect(successor('old', seen, isSame, liars)).toBe(next)
  })

  it('is yours to decide also while you are away', () => {
    const census = new Census<string>()
    census.own = 'old'
    census.see('mine', sighting('me', 'old', { trusted: true }))
    for (let i = 0; i < 9; i++) census.see(`w${i}`, sighting(`s${i}`, 'new'))
    expect(census.successor).toBeUndefined()
    census.forget('mine')
    expect(census.successor).toBeUndefined()
    census.see('mine', sighting('me', 'new', { trusted: true }))
    expect(census.successor).toBe('new')
  })

  it('goes over half-way where machines are rolled one by one, each under its key or another', () => {
    for (const isKept of [true, false])
      for (const machines of [1, 2, 3, 5]) {
        const census = new Census<string>()
        census.own = 'old'
        for (let i = 0; i < machines; i++) census.see(`old${i}`, sighting(`m${i}`, 'old'))
        let rolled = 0
        while (census.successor === undefined && rolled < machines) {
          census.forget(`old${rolled}`) // it has left, or was silent for too long
          if (census.successor !== undefined) break
          census.see(`new${rolled}`, sighting(isKept ? `m${rolled}` : `n${rolled}`, 'new'))
          rolled++
        }
        expect([machines, rolled]).toEqual([machines, Math.max(1, Math.ceil(machines / 2))])
      }
  })

  it('is reconsidered only where what machines count for has changed', () => {
    const census = new Census<string>()
    census.own = 'old'
    for (let i = 0; i < 3; i++) census.see(`w${i}`, sighting(`m${i}`, i ? 'new' : 'old'))
    expect([census.successor, census.successor]).toEqual(['new', undefined])
    census.see('w1', sighting('m1', 'new'))
    for (let i = 0; i < 100; i++) census.see(`x${i}`, sighting('m2', 'new'))
    expect(census.successor).toBeUndefined()
  })

  it('is what a count of all from the start says, whatever came and went', () => {
    const random = seeded(3)
    const pick = (many: number) => Math.floor(random.next() * many)
    for (let run = 0; run < 200; run++) {
      const census = new Census<string>()
      const seen = new Map<string, ModelVote<string>>()
      const liars = pick(3)
      let own = 'm0'
      census.own = own
      census.liars = liars
      for (let step = 0; step < 60; step++) {
        const name = `w${pick(12)}`
        if (pick(4) === 0) {
          census.forget(name)
          seen.delete(name)
        } else {
          const identity = `i${(name.length + Number(name.slice(1))) % 6}`
          const each = sighting(identity, `m${pick(3)}`, { there: pick(3) > 0 })
          census.see(name, each)
          seen.set(name, each)
        }
        const anew = new Census<string>()
        anew.own = own
        anew.liars = liars
        for (const [each, what] of seen) anew.see(each, what)
        const votes = (of: Census<string>) => [...of.votes].sort()
        expect(votes(census)).toEqual(votes(anew))
        const next = census.successor
        if (next === undefined) continue
        own = next
        census.own = next
      }
    }
  })
})
