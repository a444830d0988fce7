// A vitest reporter: a table of what ran tests, and one line with the totals over all suites, alone at the end.
import { browserVersion } from './browsers.js'

const HEAD = ['runtime', 'version', 'passed', 'failed', 'skipped']

export default class Totals {
  onTestRunEnd(modules, errors) {
    const counts = countsOf(modules)
    const sum = (state) => counts.reduce((sum, each) => sum + each[state], 0)
    const rows = counts.map(({ runtime, passed, failed, skipped }) => [...runtime, passed, failed, skipped])
    const totals = `${sum('passed')} passed, ${sum('failed') + errors.length} failed`
    setImmediate(() => console.log(`${table([HEAD, ...rows])}\n\n${totals}`)) // after the other reporters
  }
}

/** How many tests ended how, by what ran them; see ranBy in test/shared. */
function countsOf(modules) {
  const all = new Map()
  const of = (runtime) => {
    const name = runtime.join(' ')
    if (!all.has(name)) all.set(name, { runtime, passed: 0, failed: 0, skipped: 0 })
    return all.get(name)
  }
  for (const module of modules) {
    const runtime = runtimeOf(module.project)
    const own = of(runtime)
    if (module.state() === 'failed' && !module.children.size) own.failed++ // it did not even load
    for (const test of module.children.allTests()) of(test.meta().runtime ?? runtime)[test.result().state]++
  }
  return [...all.values()].sort(({ runtime: a }, { runtime: b }) => a.join(' ').localeCompare(b.join(' ')))
}

const versions = new Map()

/** Name and version of what runs a project's tests. */
function runtimeOf({ config: { browser } }) {
  if (!browser.enabled) return ['Node', process.versions.node]
  if (!versions.has(browser.name)) versions.set(browser.name, browserVersion(browser.name))
  return versions.get(browser.name)
}

/** Words to the left, numbers to the right. */
function table(rows) {
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)))
  const cell = (value, column) => String(value)[column < 2 ? 'padEnd' : 'padStart'](widths[column])
  return rows.map((row) => row.map(cell).join('  ')).join('\n')
}
