/** Runs test files of the folder it is started in each time that it is told to, in one process: what was transformed once need not be again. */

import { join } from 'node:path'
import { createVitest } from 'vitest/node'

/** What is to be run, after this file of the sources has changed. */
export interface Order {
  changed: string
  tests: readonly string[]
}

const vitest = await createVitest('test', { watch: false, config: 'mutate.config.ts', bail: 1, reporters: [{}] })
await vitest.standalone()
const told = new Set<unknown>()
let last = ''
process.on('message', async ({ changed, tests }: Order) => {
  process.env.ORDER = tests.join(' ')
  for (const file of [last, changed]) vitest.invalidateFile(join(process.cwd(), file)) // the last one is as it was again
  last = changed
  const paths = tests.map((test) => join(process.cwd(), test))
  const project = vitest.getRootProject()
  const specifications = paths.map((path) => project.createSpecification(path))
  const { testModules, unhandledErrors } = await vitest.runTestSpecifications(specifications)
  const failed = testModules.some((each) => paths.includes(each.moduleId) && !each.ok()) // others ran before
  const isNew = (error: unknown) => !told.has(error)
  const isUnhandled = unhandledErrors.some(isNew)
  for (const error of unhandledErrors) told.add(error)
  process.send?.(failed || isUnhandled)
})
process.on('disconnect', () => process.exit())
process.send?.('ready')
