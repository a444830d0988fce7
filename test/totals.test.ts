import { expect, it, vi } from 'vitest'
import Totals from '../scripts/totals.js'
import { until } from './shared/patience'

/** A file of tests as vitest tells of it. */
const file = (...tests: { state: string; runtime?: [string, string] }[]) => ({
  project: { config: { browser: { enabled: false } } },
  state: () => (tests.length ? 'passed' : 'failed'),
  children: {
    size: tests.length,
    allTests: () => tests.map(({ state, runtime }) => ({ result: () => ({ state }), meta: () => ({ runtime }) })),
  },
})

it('a run ends with what ran how many tests, and with the totals alone in the last line', async () => {
  const print = vi.spyOn(console, 'log').mockImplementation(() => {})
  const edge: [string, string] = ['workerd', '2026-11-17']
  const files = [file({ state: 'passed' }, { state: 'skipped' }), file(), file({ state: 'failed', runtime: edge })]
  new Totals().onTestRunEnd(files, [new Error('outside of all tests')])
  await until(() => expect(print).toHaveBeenCalledOnce())
  const [[text]] = print.mock.calls
  print.mockRestore()
  expect(text.split('\n').map((line: string) => line.split(/ {2,}/))).toEqual([
    ['runtime', 'version', 'passed', 'failed', 'skipped'],
    ['Node', process.versions.node, '1', '1', '1'],
    ['workerd', '2026-11-17', '0', '1', '0'],
    [''],
    ['1 passed, 3 failed'],
  ])
})
