/** A rollup plugin: dist/LICENSES.txt, the licences of all packages that have code in dist/, from where they are installed. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

/** Packages that come without the text of their licence. */
const TEXTS = { 'onnxruntime-web': 'scripts/onnxruntime-license.txt' }

const LINE = `\n${'-'.repeat(80)}\n\n`

/** Of all builds so far: each writes the file anew. */
const folders = new Set()

/** What a package is called, and the text of its licence. */
function licenseOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const own = readdirSync(folder).find((file) => /^(licen[cs]e|copying)/i.test(file))
  const path = own ? join(folder, own) : TEXTS[name]
  if (!path) throw new Error(`${folder}: expected a file with the text of its licence, got none`)
  return [`${name} ${version} (${license})`, readFileSync(path, 'utf8').trim()]
}

export const licenses = {
  name: 'licenses',
  generateBundle() {
    const files = [...this.getModuleIds()].flatMap((id) => this.getModuleInfo(id).meta.files ?? id)
    for (const file of files) {
      const [folder] = /^.*\bnode_modules\/(@[^/]+\/)?[^/]+(?=\/)/.exec(relative('.', file)) ?? []
      if (folder) folders.add(folder)
    }
    const names = new Map() // of packages with the same text
    for (const [name, text] of [...folders].sort().map(licenseOf)) names.set(text, [...(names.get(text) ?? []), name])
    const parts = [...names].map(([text, same]) => `${same.join('\n')}\n\n${text}\n`)
    const source = ['Other packages of which parts are in this one, and their licences.\n', ...parts].join(LINE)
    this.emitFile({ type: 'asset', fileName: 'LICENSES.txt', source })
  },
}
