/** The alert rules of examples/fleet, as Prometheus evaluates them. */

import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { findPromtool } from '../../scripts/programs.js'
import { isInference, type Route } from '../../src/gateway/event'
import { scratch } from '../shared/cli'
import { json, LENET, Served } from '../shared/served-process'

const RULES = 'examples/fleet/alerts.yaml'
const TESTS = 'test/fixtures/alerts.test.yaml'

interface Rule {
  alert: string
  expr: string
}
const rules: Rule[] = parse(readFileSync(RULES, 'utf8')).groups.flatMap((group: { rules: Rule[] }) => group.rules)
const { tests } = parse(readFileSync(TESTS, 'utf8')) as { tests: { input_series: { series: string }[] }[] }
const promtool = findPromtool()
const { folder, write } = scratch()

/** What promtool says of other rules in the place of ours. */
function tested(rules: readonly Rule[]) {
  for (const name of ['examples/fleet', 'test/fixtures']) mkdirSync(join(folder, name), { recursive: true })
  write(RULES, Buffer.from(stringify({ groups: [{ name: 'approxifer', rules }] })))
  const path = write(TESTS, readFileSync(TESTS))
  const { status, stdout, stderr } = spawnSync(promtool as string, ['test', 'rules', path], { encoding: 'utf8' })
  return { status, said: stdout + stderr }
}

describe.skipIf(!promtool)('alerts, by promtool', () => {
  it('fire where they should, and not for probes, nor for a token that asks more often than its rate', () => {
    expect(tested(rules)).toEqual({ status: 0, said: expect.stringContaining('SUCCESS') })
  })

  it.each([
    ['missed, each, where they never fire', 'vector(0) > 1'],
    ['noticed, each, where they always fire', 'vector(1)'],
  ])('are %s', (_, expr) => {
    const { status, said } = tested(rules.map((rule) => ({ ...rule, expr })))
    expect(status).toBe(1)
    expect(rules.filter(({ alert }) => !said.includes(`alertname: ${alert},`))).toEqual([])
  })
})

describe('alerts', () => {
  it('ask for metrics that there are, with the labels that they have, and each is in the runbook', async () => {
    const served = await Served.start([`digits=${LENET}`, '--workers', '3', '--queries', '2', '--stragglers', '1'])
    for (let i = 0; i < 4; i++) await served.infer(json(i))
    const text = await (await fetch(`${served.url}/metrics`)).text()
    await served.stop()
    const names = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name))
    const runbook = readFileSync('docs/how-to/production.md', 'utf8')
    const pages = readdirSync('docs/reference').filter((name) => name.endsWith('.md'))
    const reference = pages.map((name) => readFileSync(join('docs/reference', name), 'utf8')).join('\n')
    for (const { alert, expr } of rules) {
      const used = [...expr.matchAll(/\b(?:approxifer|nodejs)_\w+/g)].map(([name]) => name.replace(/_bucket$/, ''))
      expect(used.filter((name) => !names.has(name))).toEqual([])
      expect(runbook).toContain(alert)
    }
    const own = [...names].filter((name) => name.startsWith('approxifer_'))
    expect(own.filter((name) => !reference.includes(name))).toEqual([])
    const labelsOf = (series: string) => [...series.matchAll(/(\w+)="/g)].map(([, label]) => label).sort()
    const seen = new Map([...text.matchAll(/^(\w+)(\{.*\})? /gm)].map(([line, name]) => [name, labelsOf(line)]))
    for (const { series } of tests.flatMap(({ input_series }) => input_series)) {
      const [name] = series.split('{')
      const labels = labelsOf(series).filter((label) => label !== 'instance') // Prometheus' own
      if (name !== 'up') expect([name, labels]).toEqual([name, seen.get(name) ?? labels])
    }
  })

  it('count requests by all routes where models are asked, and by no others', () => {
    const routes: (Route | 'refused')[] = ['infer', 'embeddings', 'rerank', 'metadata', 'health', 'other', 'refused']
    const selectors = rules.flatMap(({ expr }) => [...expr.matchAll(/approxifer_requests_total\{(.*?)\}/g)])
    expect(selectors.length).toBe(3)
    for (const [, labels] of selectors) {
      const [, pattern = '.*'] = /route=~"(.*?)"/.exec(labels) ?? []
      const chosen = routes.filter((route) => new RegExp(`^(${pattern})$`).test(route))
      expect(chosen).toEqual(routes.filter((route) => route !== 'refused' && isInference(route)))
    }
  })
})
