/** docs/how-to/embeddings.md: the program that asks for embeddings does what is said of it. */

import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { recipes } from '../../scripts/docs-rules'
import { EMBEDDER } from '../shared/embedder'
import { Served } from '../shared/served-process'

it('ten lines find the text that is meant', async () => {
  const { embeddings: code } = recipes(readFileSync('docs/how-to/embeddings.md', 'utf8'))
  expect(code.trim().split('\n').length).toBeLessThanOrEqual(10)
  const served = await Served.start([`embedder=${EMBEDDER}`, '--workers', '2'])
  onTestFinished(async () => void (await served.stop()))
  const there = code.replace('http://localhost:8000', served.url)
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', there])
  const [, said] = /console\.log\(.*\) \/\/ (.*)/.exec(code) ?? []
  expect(stdout.trim()).toBe(said)
})
