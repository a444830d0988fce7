/** The built command line, run as users run it. */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { npy } from '../../scripts/npy'
import { PATIENCE_MS } from './waiting'

type Settings = { columns?: number; cli?: string }

/** @param columns  how wide its terminal claims to be; default: no limit */
export function runWith({ columns, cli = 'dist/cli.js' }: Settings, ...args: string[]) {
  const env = { ...process.env, COLUMNS: columns ? String(columns) : '' }
  return spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8', timeout: PATIENCE_MS, env })
}

export const run = (...args: string[]) => runWith({}, ...args)

const LENET = 'models/mnist-lenet.onnx'
/** Arguments of `evaluate`, without answers before asking. */
export const unlabelled = [LENET, '--inputs', 'models/mnist-digits.npy', '--stream', '0']
export const lenet = [...unlabelled, '--labels', 'models/mnist-labels.npy']

/** A folder that is removed after the tests of a file, and a way to write files into it. */
export function scratch() {
  const folder = mkdtempSync(join(tmpdir(), 'approxifer-cli-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const write = (name: string, bytes: Uint8Array) => {
    writeFileSync(join(folder, name), bytes)
    return join(folder, name)
  }
  return { folder, write, npy: (name: string, ...array: Parameters<typeof npy>) => write(name, npy(...array)) }
}

export { npy, npyHeader } from '../../scripts/npy'

/** What `serve` says when it does not start. */
export const serve = (...args: string[]) => {
  const { status, stderr } = runWith({}, 'serve', ...args, '--port', '0')
  return [status, stderr] as const
}
