import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { runtimesOf, tableOf, wrongOf } from '../scripts/runtimes-table.js'
import { SUBJECTS, subjectOf } from '../scripts/subjects.js'

const counts = (name: string, version: string, passed: number, subjects: Record<string, number>, webgpu?: string) => ({
  ...{ runtime: [name, version], passed, failed: 0, skipped: 0, subjects },
  ...(webgpu && { webgpu }),
})
const run = runtimesOf([
  counts('Chromium', '150.0.7', 260, { codec: 157, HTTP: 30 }, 'refused'),
  counts('Deno', '2.9.6', 319, { codec: 157, predictor: 37 }),
  counts('Node', '20.20.2', 4000, { codec: 300 }),
  counts('Node', '24.21.0', 3, {}),
])

describe('the table of runtimes', () => {
  it('has a row for each runtime, with what it was tested for, and counts rounded down', () => {
    const rows = tableOf(run).split('\n').slice(2)
    expect(rows).toEqual([
      '| Node 20, 24 | ✓ | – | – | – | – | – | – | – | 4,000+ |',
      '| Deno 2.9 | ✓ | ✓ | – | – | – | – | – | – | 300+ |',
      '| Chromium 150.0 | ✓ | – | – | ✓ | – | – | – | refused: a software adapter computes wrongly | 200+ |',
      '',
    ])
    expect(wrongOf(tableOf(run), run)).toEqual([])
  })

  it('more tests, and another version of a browser, do not make it wrong', () => {
    const later = runtimesOf([counts('Chromium', '151.0', 270, { codec: 160, HTTP: 30 }, 'refused')])
    expect(wrongOf(tableOf(run.filter(({ name }) => name === 'Chromium')), later)).toEqual([])
  })

  it('what the run does not show is told', () => {
    const other = runtimesOf([counts('Deno', '2.10.0', 299, { codec: 157, NATS: 1 }), counts('Bun', '1.4', 1, {})])
    expect(wrongOf(tableOf(run), other)).toEqual([
      'Node has no tests',
      'Chromium has no tests',
      'Deno: predictor',
      'Deno: NATS',
      'it is Deno 2.10, not Deno 2.9',
      'Deno has 299 tests',
      'Bun is not in the table',
    ])
  })

  it('the page has a column for each subject', () => {
    const head = /\| runtime \|.*/.exec(readFileSync('docs/reference/runtimes.md', 'utf8'))?.[0]
    expect(head).toBe(`| runtime | ${Object.keys(SUBJECTS).join(' | ')} | WebGPU | tests |`)
  })
})

it('a test’s subject follows from its file', () => {
  const of = (file: string) => subjectOf(`/there/test/${file}`)
  expect(of('runtimes/gateway.test.ts')).toBe('gateway')
  expect(of('workers/http/start.test.ts')).toBe('HTTP')
  expect(of('browser/worker.test.ts')).toBe('local workers')
  expect(of('browser/keys.test.ts')).toBe(undefined)
})
