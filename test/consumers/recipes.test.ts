/** docs/reference/bundlers.md shows the very files that the other tests here run. */

import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { expect, it } from 'vitest'
import { recipes } from '../../scripts/docs-rules'
import { RECIPES } from './consumer'

const shown = recipes(readFileSync('docs/reference/bundlers.md', 'utf8'))
const files = readdirSync(RECIPES, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
const paths = files.map((file) => relative(RECIPES, join(file.parentPath, file.name)))

it('every recipe is in the documentation, and nothing else', () => {
  expect(Object.keys(shown).sort()).toEqual(paths.sort())
})

it.each(paths)('%s is shown as it is run', (path) => {
  expect(shown[path]).toBe(readFileSync(join(RECIPES, path), 'utf8'))
})
