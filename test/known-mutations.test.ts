import { readFileSync } from 'node:fs'
import { transformSync } from 'esbuild'
import { expect, it } from 'vitest'
import { knownMutations } from '../scripts/known-mutations'
import { putBack } from './simulation/defect'

it.each(knownMutations)('the mutation "$name" can be made, and compiles', (mutation) => {
  const own = readFileSync(`src/${mutation.file}`, 'utf8')
  const mutated = putBack(own, mutation)
  expect(mutated).not.toBe(own)
  expect(() => transformSync(mutated, { loader: 'ts' })).not.toThrow()
})
