// Writes the compiled core as a base64 module beside it, for runtimes that compile from bytes.
import { readFileSync, writeFileSync } from 'node:fs'

const bytes = readFileSync('build/core.wasm').toString('base64')
writeFileSync('build/core-bytes.js', `export default '${bytes}'\n`)
writeFileSync('build/core-bytes.d.ts', 'declare const bytes: string\nexport default bytes\n')
writeFileSync('build/core.wasm.d.ts', 'declare const module: WebAssembly.Module\nexport default module\n')
