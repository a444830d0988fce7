/** Runs over a simulated network and disk. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { changed } from '../../scripts/changed-copy'
import { type History, violations } from './history'
import { drawn, type Schedule } from './schedule'
import { wireDefects } from './wire-defects'
import { run } from './world'

const QUERIES = 150
/** Of each kind. */
const RUNS = process.env.CI ? 12 : 4

const kinds: Record<string, (wire: NonNullable<Schedule['wire']>, schedule: Schedule) => boolean> = {
  'a gateway': ({ isServed, transport }) => isServed && transport === 'direct',
  HTTP: ({ transport }) => transport === 'http',
  NATS: ({ transport }) => transport === 'nats',
  'a disk': ({ disk }) => disk !== undefined,
  'a model that comes and goes': (_, { events }) => events.some(({ what }) => what === 'unload'),
  'values of other types': (_, { element }) => element === 'int64' || element === 'string',
}

/** The first schedules of a kind. */
function first(kind: string, count: number, queries = QUERIES): Schedule[] {
  const found: Schedule[] = []
  for (let seed = 1; found.length < count; seed++) {
    const few = drawn(seed, 30)
    if (few.wire && kinds[kind](few.wire, few)) found.push(drawn(seed, queries))
  }
  return found
}

/** What a seed of two kinds breaks is known after the first: a seed is a run. */
const ran = new Map<number, Promise<readonly string[]>>()

function brokenIn(schedule: Schedule): Promise<readonly string[]> {
  const { seed } = schedule
  if (!ran.has(seed)) ran.set(seed, run(schedule).then(violations))
  return ran.get(seed) as Promise<readonly string[]>
}

describe('the simulation over a network', () => {
  it.each(Object.keys(kinds))('keeps every promise: %s', async (kind) => {
    for (const schedule of first(kind, RUNS)) {
      const { seed } = schedule
      expect({ seed, broken: await brokenIn(schedule) }).toEqual({ seed, broken: [] })
    }
  })

  it.each(Object.keys(kinds))('is the same to the byte each time: %s', async (kind) => {
    const [schedule] = first(kind, 1, 100)
    const histories: string[] = []
    for (let i = 0; i < 2; i++) histories.push(JSON.stringify(await run(schedule)))
    expect(histories[0].length).toBeGreaterThan(5000)
    expect(histories[1]).toBe(histories[0])
  })

  it('has every kind of response, of what is sent and of what a restart finds', async () => {
    const seen = new Set<string>()
    const note = ({ entries }: History) => {
      for (const entry of entries) {
        if (entry.what === 'sent') seen.add(entry.kind)
        if (entry.what === 'told') seen.add(String(entry.status))
        if (entry.what === 'restart') seen.add(`${entry.state}${entry.isRefused ? ', refused' : ''}`)
        if (entry.what === 'answered') seen.add(entry.status)
      }
    }
    const all = ['good', 'nonsense', 'stopped', '200', '400', '404', '405', '413', '415', '429', '499', '503', '504', 'none', 'whole', 'torn, refused', 'exact'] // biome-ignore format: one line
    for (let seed = 1; seed <= 400 && !all.every((kind) => seen.has(kind)); seed++) {
      const schedule = drawn(seed, 80)
      if (schedule.wire) note(await run(schedule))
    }
    expect(all.filter((kind) => !seen.has(kind))).toEqual([])
  })

  it('a run without a network is what it was', () => {
    const plain = Array.from({ length: 100 }, (_, i) => drawn(i + 1, 5)).filter(({ wire }) => !wire)
    expect(plain.length).toBeGreaterThan(30)
    for (const { events } of plain) expect(events.filter(({ what }) => /bounce|cut|restart/.test(what))).toEqual([])
  })
})

it.each(wireDefects)('the defect "$name" can be put back, and compiles', (defect) => {
  const own = readFileSync(join('src', defect.file), 'utf8')
  expect(changed(own, defect)).not.toBe(own)
})
