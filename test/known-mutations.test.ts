import { existsSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { changed } from '../scripts/changed-copy'
import { knownMutations } from '../scripts/known-mutations'

it.each(knownMutations)('the mutation "$name" can be made, and compiles', (mutation) => {
  const own = readFileSync(`src/${mutation.file}`, 'utf8')
  expect(changed(own, mutation)).not.toBe(own)
})

it.each(knownMutations)('the tests that notice "$name" are there', ({ tests }) => {
  expect(tests.filter((test) => !existsSync(`test/${test}.test.ts`))).toEqual([])
})
