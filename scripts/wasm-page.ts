/** npm run wasm:page: builds the page that compares WASM with JavaScript in a visitor's browser, site/wasm/, into build/wasm/ or the folder that is named. */

import { copyFileSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const SITE = 'site/wasm'

export async function buildPage(folder: string): Promise<void> {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const file of ['index.html', 'style.css']) copyFileSync(join(SITE, file), join(folder, file))
  await build({
    entryPoints: [join(SITE, 'page.ts')],
    outdir: folder,
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    conditions: ['browser'],
    target: 'es2022',
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2] ?? 'build/wasm'
  await buildPage(folder)
  console.log(`${folder}: any static server may serve it`)
}
