/** Files that options name: which option it was stands in the error. */

import { readFile } from 'node:fs/promises'

/**
 * @param field  the option, as the user wrote it
 * @throws Error with the system's code, such as ENOENT
 */
export async function readNamed(field: string, path: unknown): Promise<Buffer> {
  try {
    return await readFile(path as string)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw Object.assign(new Error(`${field}: ${message}`, { cause: error }), { code })
  }
}
