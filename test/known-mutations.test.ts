import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { knownMutations } from '../scripts/known-mutations'

it.each(knownMutations)('the mutation "$name" can be made', ({ file, from, to }) => {
  expect(readFileSync(`src/${file}`, 'utf8').split(from).length - 1).toBe(1)
  expect(to).not.toBe(from)
})
