/** What models learned, in a folder of files: whole or not at all, also where the power fails. */

import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { Files } from './platform'

/** Of a file's name, which most file systems limit to 255 bytes. */
const MOST_LETTERS = 200

/** What was learned of callers' queries is for nobody else to read. */
const OWNER = { folder: 0o700, file: 0o600 }

/** @param folder  made if it is not there; for one process at a time */
export function files(folder: string): Files {
  return {
    async read(name) {
      const path = pathOf(folder, name)
      return readFile(path).catch((error) => {
        if (error.code === 'ENOENT') return undefined
        throw error
      })
    },
    async write(name, bytes) {
      const path = pathOf(folder, name)
      await mkdir(folder, { recursive: true, mode: OWNER.folder })
      await synced(`${path}.tmp`, 'w', (file) => file.writeFile(bytes))
      await rename(`${path}.tmp`, path)
      await synced(folder, 'r') // the name itself
    },
  }
}

/** Does something to a file or folder and waits until it is on the disk. */
async function synced(path: string, flags: string, work = async (_: Handle) => {}): Promise<void> {
  const file = await open(path, flags, OWNER.file)
  try {
    if (flags === 'w') await file.chmod(OWNER.file) // one that was there keeps what others may do with it
    await work(file)
    await file.sync()
  } finally {
    await file.close()
  }
}

type Handle = Awaited<ReturnType<typeof open>>

/** Names may be anything: slashes and dots at the beginning, too. */
function pathOf(folder: string, name: string): string {
  const escaped = encodeURIComponent(name).replaceAll('.', '%2E')
  if (escaped.length > MOST_LETTERS) {
    throw new RangeError(`name: expected at most ${MOST_LETTERS} letters as a file's name, got ${escaped.length}`)
  }
  return join(folder, `${escaped}.state`)
}
