/** A module and the sources that it imports, with private fields that can be read: all that a state is made of can be walked through. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build, type Plugin } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** `#name` becomes `_name`: no class has a public field of that name, nor one of its own beside that of a class that it extends. */
const opening: Plugin = {
  name: 'private fields are opened',
  setup({ onLoad }) {
    onLoad({ filter: /\/(src|test)\/.*\.ts$/ }, ({ path }) => {
      const contents = readFileSync(path, 'utf8').replace(/(?<!['"])#(?=[a-zA-Z])/g, '_')
      return { contents: `${contents}\nglobalThis["${relative(root, path)}"]`, loader: 'ts' }
    })
  },
}

/** @param path  from the root of the repository */
export async function opened<T>(path: string): Promise<T> {
  const folder = mkdtempSync(join(root, 'node_modules', '.explored-'))
  const outfile = join(folder, 'world.mjs')
  await build({
    ...{ entryPoints: [join(root, path)], outfile, bundle: true, format: 'esm', platform: 'node', target: 'es2022' },
    ...{ packages: 'external', minifyWhitespace: true, legalComments: 'inline', plugins: [opening] },
  })
  try {
    return await import(pathToFileURL(outfile).href)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
