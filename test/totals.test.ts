import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it, vi } from 'vitest'
import Totals from '../scripts/totals.js'
import { until } from './shared/waiting'

/** A file of tests as vitest tells of it. */
const file = (...tests: { state: string; runtime?: [string, string]; subject?: string; fullName?: string }[]) => ({
  moduleId: '/there/test/gateway/some.test.ts',
  relativeModuleId: 'test/gateway/some.test.ts',
  errors: () => [new Error('it did not load')],
  project: { config: { browser: { enabled: false } } },
  state: () => (tests.length ? 'passed' : 'failed'),
  children: {
    size: tests.length,
    allTests: (only?: string) =>
      tests
        .filter(({ state }) => only === undefined || state === only)
        .map(({ state, runtime, subject, fullName = '' }) => ({
          fullName,
          result: () => ({
            state,
            errors: state === 'failed' ? [new Error('expected 1 to be 2\n  at it')] : undefined,
          }),
          meta: () => ({ runtime, subject }),
        })),
  },
})

/** What a run prints at its end, by line and column. */
async function told(files: ReturnType<typeof file>[], ...errors: Error[]): Promise<string[][]> {
  const print = vi.spyOn(console, 'log').mockImplementation(() => {})
  new Totals().onTestRunEnd(files, errors)
  await until(() => expect(print).toHaveBeenCalledOnce())
  const [[text]] = print.mock.calls
  print.mockRestore()
  return text.split('\n').map((line: string) => line.split(/ {2,}/))
}

const edge: [string, string] = ['workerd', '2026-11-17']
const files = [
  file({ state: 'passed' }, { state: 'skipped' }),
  file(),
  file({ state: 'failed', runtime: edge, fullName: 'asks' }),
]
const failures = [
  ['failed: Node, test/gateway/some.test.ts: it did not load'],
  ['failed: workerd, test/gateway/some.test.ts > asks: expected 1 to be 2'],
  ['failed: an error outside tests: outside of all tests'],
]

afterEach(() => vi.unstubAllEnvs())

it('a run ends with what ran how many tests, what failed and why, and with the totals alone in the last line', async () => {
  vi.stubEnv('TOTALS', undefined)
  expect(await told(files, new Error('outside of all tests'))).toEqual([
    ['runtime', 'version', 'passed', 'failed', 'skipped'],
    ['Node', process.versions.node, '1', '1', '1'],
    ['workerd', '2026-11-17', '0', '1', '0'],
    [''],
    ...failures,
    ['1 passed, 3 failed'],
  ])
})

it('the last of several runs tells of all of them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'approxifer-totals-'))
  vi.stubEnv('TOTALS', join(folder, 'totals'))
  await told(files, new Error('outside of all tests'))
  const deno: [string, string] = ['Deno', '2.9.6']
  const lines = await told([file({ state: 'passed' }, { state: 'passed', runtime: deno })])
  rmSync(folder, { recursive: true })
  expect(lines.slice(1)).toEqual([
    ['Deno', '2.9.6', '1', '0', '0'],
    ['Node', process.versions.node, '2', '1', '1'],
    ['workerd', '2026-11-17', '0', '1', '0'],
    [''],
    ...failures,
    ['3 passed, 3 failed'],
  ])
})

it('names the tests that were skipped for what the machine lacks, and no others', async () => {
  vi.stubEnv('TOTALS', undefined)
  const skipped = ['terminal > resizes (skipped: here is no /proc)', 'all else'].map((fullName) => ({ state: 'skipped', fullName })) // biome-ignore format: one line
  const [first, second] = await told([file(...skipped, { state: 'passed' })])
  expect([first[0], second[0]]).toEqual(['terminal > resizes (skipped: here is no /proc)', 'runtime'])
})
