// Between asc and rollup: an empty dist/ with the compiled core in it, and the core as a base64 module for
// runtimes that compile from bytes.
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'

rmSync('dist', { recursive: true, force: true })
mkdirSync('dist')
copyFileSync('build/core.wasm', 'dist/core.wasm')

const bytes = readFileSync('build/core.wasm').toString('base64')
writeFileSync('build/core-bytes.js', `export default '${bytes}'\n`)
writeFileSync('build/core-bytes.d.ts', 'declare const bytes: string\nexport default bytes\n')
writeFileSync('build/core.wasm.d.ts', 'declare const module: WebAssembly.Module\nexport default module\n')
