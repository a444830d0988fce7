/** A folder as a user has it: approxifer as it is published, and other packages beside it in node_modules. */

import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { onTestFinished } from 'vitest'

type Approxifer = typeof import('approxifer')

const root = fileURLToPath(new URL('../../', import.meta.url))

/**
 * approxifer, imported from such a folder, which is removed after the test.
 *
 * @param packages  names in node_modules, and the installed folders that they stand for, seen from the project's root
 */
export async function consumer(packages: Record<string, string>): Promise<Approxifer> {
  const modules = join(mkdtempSync(join(tmpdir(), 'approxifer-')), 'node_modules')
  onTestFinished(() => rmSync(dirname(modules), { recursive: true }))
  const own = join(modules, 'approxifer')
  mkdirSync(own, { recursive: true })
  for (const part of ['package.json', 'dist']) cpSync(join(root, part), join(own, part), { recursive: true })
  for (const [name, folder] of Object.entries(packages)) symlinkSync(join(root, folder), join(modules, name), 'dir')
  return import(pathToFileURL(join(own, 'dist/node/index.js')).href)
}
