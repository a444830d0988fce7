/**
 * A rollup plugin behind rollup-plugin-dts: declarations that every compiler from TypeScript 5.0 on can read, with no
 * other types beside them than the language's own.
 */
import { readFileSync } from 'node:fs'
import ts from 'typescript'
import { docstrings, optionTables } from './docstrings.js'

/** Of the DOM's or Node's types, with which these merge; where a project has neither they stand for any object. */
const GLOBALS = `
declare global {
  interface AbortSignal {}
  interface ErrorOptions {}
  interface Request {}
  interface Response {}
  interface URL {}
  interface SymbolConstructor {
    readonly asyncDispose: unique symbol
  }
}
`

const BUFFERS = /^(Float32|Float64|Int32|Uint8)Array$/

/** Replacements of [start, end, text] that make the declarations of `source` portable. */
function edits(source) {
  const found = []
  const visit = (node) => {
    // Typed arrays take an argument since TypeScript 5.7; before, that is an error.
    if (ts.isTypeReferenceNode(node) && node.typeArguments && BUFFERS.test(node.typeName.getText(source))) {
      found.push([node.typeName.end, node.end, ''])
      return
    }
    const member = ts.isPropertySignature(node) || ts.isPropertyDeclaration(node)
    // exactOptionalPropertyTypes refuses `{ signal: maybeUndefined }` unless undefined is named.
    if (member && node.questionToken && node.type && !/\| undefined$/.test(node.type.getText(source))) {
      const bare = !ts.isFunctionTypeNode(node.type)
      found.push([node.type.getStart(source), node.type.getStart(source), bare ? '' : '('])
      found.push([node.type.end, node.type.end, bare ? ' | undefined' : ') | undefined'])
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** Without the DOM's or Node's types there is no global `fetch` to be the type of. */
const FETCH = '((input: string, init?: any) => Promise<Response>)'

/** The chunk that all entries' declarations are in. */
export const TYPES = 'types'

async function portable(declared, { name }) {
  const code = declared.replaceAll('typeof globalThis.fetch', FETCH)
  const source = ts.createSourceFile('index.d.ts', code, ts.ScriptTarget.Latest, true)
  const apply = (text, [start, end, put]) => text.slice(0, start) + put + text.slice(end)
  // From the end, so that the positions before stay right; of two at one place the later one first.
  const documented = docstrings(source, await optionTables()).map(([at, text]) => [at, at, text])
  const edited = [...edits(source), ...documented]
    .reverse()
    .sort((a, b) => b[0] - a[0])
    .reduce(apply, code)
  return name === TYPES ? edited + GLOBALS : edited
}

/** Also writes what rollup does not: declarations for `require`, and for the entries that export nothing or a module. What all entries declare is there once: `import` may take declarations of CommonJS, `require` none of modules. */
export const declarations = {
  name: 'declarations',
  renderChunk: portable,
  generateBundle(_options, bundle) {
    const emit = (fileName, source) => this.emitFile({ type: 'asset', fileName, source })
    for (const [file, chunk] of Object.entries(bundle)) {
      if (chunk.name === TYPES) {
        chunk.fileName = `${TYPES}.d.cts`
        continue
      }
      const [about = ''] = /^\/\*\*.*@module \*\/\n/.exec(readFileSync(chunk.facadeModuleId, 'utf8')) ?? []
      chunk.code = about + chunk.code.replaceAll(`'./${TYPES}.js'`, `'./${TYPES}.cjs'`)
      emit(file.replace(/\.ts$/, '.cts'), chunk.code.replace(/(from '\.\/\w+)\.js'/g, "$1.cjs'"))
    }
    emit('worker.d.ts', 'export {}\n')
    emit('worker.d.cts', 'export {}\n')
    emit('core.wasm.d.ts', '/** A WebAssembly.Module. */\ndeclare const module: object\nexport default module\n')
  },
}
