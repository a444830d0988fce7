import { readdirSync, readFileSync } from 'node:fs'
import ts from 'typescript'
import { expect, it } from 'vitest'
import { predictorOptions } from '../src/predictor/option-table'

const declared = (name: string) =>
  ts.createSourceFile(name, readFileSync(`dist/${name}`, 'utf8'), ts.ScriptTarget.Latest, true)
const types = declared('types.d.cts')

/** Interfaces of options that a user can import, and those that they consist of. */
const exported = readdirSync('dist')
  .filter((name) => name.endsWith('.d.ts'))
  .flatMap((name) => readFileSync(`dist/${name}`, 'utf8').match(/\b\w+Options\b/g) ?? [])
const interfaces = new Map(types.statements.filter(ts.isInterfaceDeclaration).map((node) => [node.name.text, node]))

function withBases(name: string): string[] {
  const named = interfaces.get(name)?.heritageClauses?.flatMap(({ types }) => types.map((type) => type.getText())) ?? []
  return [name, ...named.flatMap((text) => text.match(/\w+/g) ?? []).flatMap(withBases)]
}

/** The docstring of each property, by its path. */
function docstrings(node: ts.Node, path: string): [path: string, docstring: string][] {
  return node.getChildren().flatMap((child) => {
    if (!ts.isPropertySignature(child)) return docstrings(child, path)
    const own = `${path}.${child.name.getText()}`
    const text = ts.getJSDocCommentsAndTags(child).map((comment) => comment.getText())
    return [[own, text.join()] as [string, string], ...docstrings(child, own)]
  })
}

const names = [...new Set([...exported, 'MemoryChoices'].flatMap(withBases))].filter((name) => interfaces.has(name))
const found = new Map(names.flatMap((name) => docstrings(interfaces.get(name) as ts.Node, name)))

it('every property of options has a docstring in the published types', () => {
  expect(names).toEqual(expect.arrayContaining(['PredictorOptions', 'PredictOptions', 'Choices', 'GatewayOptions', 'HttpOptions'])) // biome-ignore format: one line
  expect(found.size).toBeGreaterThan(100)
  expect([...found].filter(([, text]) => !text).map(([path]) => path)).toEqual([])
})

it('a docstring has the sentence of the option’s table, its default and its unit', () => {
  const { hangMs } = predictorOptions
  const sentence = `${hangMs.about[0].toUpperCase()}${hangMs.about.slice(1)}`
  expect(found.get('PredictorOptions.hangMs')).toBe(`/** ${sentence}. Default: 30,000 milliseconds. */`)
  expect(found.get('PredictorOptions.verify.trust')).toMatch(
    /docs\/appendix\/liars\.md#open-fleets\. Default: 'closed'\./,
  )
  for (const [path, text] of found) expect(text, path).not.toMatch(/\]\(|undefined/)
})
