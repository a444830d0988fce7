import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { changed } from '../../scripts/changed-copy'
import { corpus } from './corpus'
import { defects } from './defects'
import { violations } from './history'
import { wireDefects } from './wire-defects'
import { run } from './world'

it.each(defects)('the defect "$name" can be put back, and compiles', (defect) => {
  const own = readFileSync(join('src', defect.file), 'utf8')
  expect(changed(own, defect)).not.toBe(own)
})

describe('what once found a defect', () => {
  const kept = corpus()

  it.each(kept)('keeps every promise now: "$defect"', async ({ schedule }) => {
    expect(violations(await run(schedule))).toEqual([])
  })

  it('is of twenty defects at least, each of fifteen events at most', () => {
    const names = [...defects, ...wireDefects].map(({ name }) => name)
    expect(kept.filter(({ defect }) => !names.includes(defect))).toEqual([])
    expect(kept.length).toBeGreaterThanOrEqual(20)
    expect(Math.max(...kept.map(({ schedule }) => schedule.events.length))).toBeLessThanOrEqual(15)
  })
})
