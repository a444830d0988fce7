import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { npy } from '../scripts/npy'
import { loadLabels } from '../src/cli/npy'

it('what was written is read again; a Buffer is refused, whose header named no kind of value', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'approxifer-npy-'))
  const file = join(folder, 'labels.npy')
  writeFileSync(file, npy(Uint8Array.of(3, 0, 9), [3]))
  expect(await loadLabels(file)).toEqual([3, 0, 9])
  rmSync(folder, { recursive: true })
  expect(() => npy(Buffer.of(3, 0, 9), [3])).toThrow('values: expected one of Uint8Array, Uint16Array')
})
