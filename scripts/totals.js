// A vitest reporter: a table of what ran tests, and one line with the totals over all suites, alone at the end. Where the variable TOTALS
// names a file, the run is one of several: it adds to what the file tells of those before, and its table and its totals are of all of them.
// What failed is named once more before the totals: a log may be kept by its end alone.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { browserVersion } from './browsers.js'
import { subjectOf } from './subjects.js'

const HEAD = ['runtime', 'version', 'passed', 'failed', 'skipped']

export default class Totals {
  onTestRunEnd(modules, errors) {
    const { TOTALS: file } = process.env
    const before = file && existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { counts: [], failures: [] }
    const failures = [
      ...before.failures,
      ...failuresOf(modules),
      ...errors.map((error) => `an error outside tests: ${error.message}`),
    ]
    const all = { counts: countsOf(modules, before.counts), failures }
    if (file) writeFileSync(file, JSON.stringify(all))
    const rows = all.counts.map(({ runtime, passed, failed, skipped }) => [...runtime, passed, failed, skipped])
    const lines = [...lackingOf(modules), table([HEAD, ...rows]), '', ...totalsOf(all)]
    setImmediate(() => console.log(lines.join('\n'))) // after the other reporters
  }
}

/** What failed, a line each, and how many tests passed and failed. */
export function totalsOf({ counts, failures }) {
  const passed = counts.reduce((sum, each) => sum + each.passed, 0)
  return [...failures.map((failure) => `failed: ${failure}`), `${passed} passed, ${failures.length} failed`]
}

/** Where each failed test is, and why: the first line of its error. */
function failuresOf(modules) {
  return modules.flatMap((module) => {
    const runtime = runtimeOf(module.project)
    const failureOf = (name, { errors }, [where] = runtime) =>
      `${where}, ${name}: ${errors?.[0]?.message?.split('\n')[0]}`.slice(0, 300)
    const tests = [...module.children.allTests('failed')]
    if (module.state() === 'failed' && !tests.length)
      return [failureOf(module.relativeModuleId, { errors: module.errors() })]
    return tests.map((test) =>
      failureOf(`${module.relativeModuleId} > ${test.fullName}`, test.result(), test.meta().runtime),
    )
  })
}

/** Names of the tests that were skipped for what this machine lacks, see test/shared/machine-needs.ts: other reporters count them only. */
function lackingOf(modules) {
  const names = modules.flatMap(({ children }) => [...children.allTests('skipped')].map(({ fullName }) => fullName))
  return names.filter((name) => name.includes('(skipped: '))
}

/**
 * How many tests ended how, by what ran them, and how many passed by subject; see ranBy in test/shared. `webgpu` is what the test of WebGPU
 * found there: 'answers', 'refused' or 'none'. @param before  of earlier runs
 */
function countsOf(modules, before) {
  const all = new Map(before.map((own) => [own.runtime.join(' '), own]))
  const of = (runtime) => {
    const name = runtime.join(' ')
    if (!all.has(name)) all.set(name, { runtime, passed: 0, failed: 0, skipped: 0, subjects: {} })
    return all.get(name)
  }
  for (const module of modules) {
    const runtime = runtimeOf(module.project)
    const own = of(runtime)
    if (module.state() === 'failed' && !module.children.size) own.failed++ // it did not even load
    for (const test of module.children.allTests()) {
      const meta = test.meta()
      const counts = of(meta.runtime ?? runtime)
      const { state } = test.result()
      counts[state]++
      const subject = meta.subject ?? subjectOf(module.moduleId)
      if (state === 'passed' && subject) counts.subjects[subject] = (counts.subjects[subject] ?? 0) + 1
      if (meta.webgpu) counts.webgpu = meta.webgpu
    }
  }
  return [...all.values()].sort(({ runtime: a }, { runtime: b }) => a.join(' ').localeCompare(b.join(' ')))
}

/** Deno and Bun say that they are Node as well. */
const HERE = globalThis.Deno
  ? ['Deno', globalThis.Deno.version.deno]
  : process.versions.bun
    ? ['Bun', process.versions.bun]
    : ['Node', process.versions.node]

const versions = new Map()

/** Name and version of what runs a project's tests. */
function runtimeOf({ config: { browser } }) {
  if (!browser.enabled) return HERE
  if (!versions.has(browser.name)) versions.set(browser.name, browserVersion(browser.name))
  return versions.get(browser.name)
}

/** Words to the left, numbers to the right. */
function table(rows) {
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)))
  const cell = (value, column) => String(value)[column < 2 ? 'padEnd' : 'padStart'](widths[column])
  return rows.map((row) => row.map(cell).join('  ')).join('\n')
}
