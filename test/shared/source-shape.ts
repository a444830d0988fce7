/** The shape of source files, by the TypeScript compiler: names declared, what imports what. */

import { readdirSync, readFileSync } from 'node:fs'
import { join, posix, relative, sep } from 'node:path'
import ts from 'typescript'

export type Files = Record<string, string>

/** All files of a folder whose names end like this, by their paths inside it, with slashes on any system. */
export function filesOf(folder: string, ending = ''): Files {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => entry.isFile() && entry.name.endsWith(ending))
  return Object.fromEntries(
    paths
      .map(({ parentPath, name }) => join(parentPath, name))
      .filter((path) => !path.includes('node_modules'))
      .map((path) => [relative(folder, path).split(sep).join('/'), readFileSync(path, 'utf8')]),
  )
}

const parsed = new Map<string, ts.SourceFile>()

function parse(path: string, text: string): ts.SourceFile {
  const key = path + text
  const known = parsed.get(key) ?? ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  parsed.set(key, known)
  return known
}

/** Types and classes that more than one file declares, as "Name: file, file". */
export function declaredTwice(files: Files): string[] {
  const where = new Map<string, string[]>()
  for (const [path, text] of Object.entries(files)) {
    for (const node of parse(path, text).statements) {
      if (!ts.isClassDeclaration(node) && !ts.isInterfaceDeclaration(node) && !ts.isTypeAliasDeclaration(node)) continue
      const name = node.name?.text ?? ''
      where.set(name, [...(where.get(name) ?? []), path])
    }
  }
  return [...where]
    .filter(([, paths]) => paths.length > 1)
    .map(([name, paths]) => `${name}: ${paths.sort().join(', ')}`)
}

/** What a file imports or exports again, types included: module specifiers. */
export function imports(text: string): string[] {
  return [...text.matchAll(/(?:from|import\(|import) ?'([\w@./:-]+)'/g)].map((match) => match[1])
}

/** The names that a file exports. */
export function exportsOf(text: string): string[] {
  return parse('index.ts', text).statements.flatMap((node) => {
    if (ts.isExportDeclaration(node) && node.exportClause && ts.isNamedExports(node.exportClause)) {
      return node.exportClause.elements.map(({ name }) => name.text)
    }
    return []
  })
}

/** Files that import each other, types included, directly or around: the strongly connected components of more than one (Tarjan, 1972). */
export function rings(files: Files): string[][] {
  const places = new Map<string, { index: number; low: number; isOpen: boolean }>()
  const path: string[] = []
  const found: string[][] = []
  const visit = (file: string) => {
    const own = { index: places.size, low: places.size, isOpen: true }
    places.set(file, own)
    path.push(file)
    for (const to of imports(files[file])) {
      const next = `${posix.join(file, '..', to)}.ts`
      if (!to.startsWith('.') || !(next in files)) continue
      const other = places.get(next) ?? visit(next)
      if (other.isOpen) own.low = Math.min(own.low, other.low)
    }
    if (own.low < own.index) return own
    const ring = path.splice(path.indexOf(file))
    for (const each of ring) (places.get(each) as typeof own).isOpen = false
    if (ring.length > 1) found.push(ring.sort())
    return own
  }
  for (const file of Object.keys(files)) if (!places.has(file)) visit(file)
  return found
}
