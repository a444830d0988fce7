// A vitest reporter: one line with the totals over all suites, alone at the end.

export default class Totals {
  onTestRunEnd(modules, errors) {
    const counts = { passed: 0, failed: errors.length }
    for (const module of modules) {
      if (module.state() === 'failed' && !module.children.size) counts.failed++ // it did not even load
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state in counts) counts[state]++
      }
    }
    setImmediate(() => console.log(`${counts.passed} passed, ${counts.failed} failed`)) // after the other reporters
  }
}
