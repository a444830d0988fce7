/**
 * Docstrings of the options in the published declarations: from the tables that check the options and that docs/ and --help are made of. A
 * property that says more in its own docstring keeps that.
 */
import ts from 'typescript'

/** The tables by the types that they describe; the build for Node has them when declarations are written. */
export async function optionTables() {
  const built = (path) => import(`../dist/node/${path}.js`)
  const [{ predictOptions, predictorOptions }, { textOptions }, { localOptions }, { onnxOptions }] = await Promise.all(
    ['predictor/option-table', 'gateway/text/options', 'workers/local/options', 'workers/onnx/options'].map(built),
  )
  return {
    Choices: predictOptions,
    PredictOptions: predictOptions,
    PredictorOptions: predictorOptions,
    MemoryChoices: predictorOptions.memory.options,
    TextOptions: textOptions,
    OnnxOptions: onnxOptions,
    ThreadOptions: localOptions,
    LocalOptions: localOptions,
  }
}

const PATHS = [
  [/^#/, 'docs/reference/options.md#'],
  [/^\.\.\//, 'docs/'],
  [/^/, 'docs/reference/'],
]

/** Links from docs/reference/options.md become paths in the package. */
function withPaths(text) {
  return text.replaceAll(/\[[^\]]*\]\(([^)]*)\)/g, (_, link) =>
    link.replace(...PATHS.find(([from]) => from.test(link))),
  )
}

function docstring(name, { about, fallback, otherwise }) {
  const plain = typeof fallback === 'string' ? `'${fallback}'` : typeof fallback === 'object' ? '' : fallback
  const shown = otherwise ?? plain.toLocaleString('en-US', { maximumFractionDigits: 6 })
  const unit = name.endsWith('Ms') && typeof fallback === 'number' ? ' milliseconds' : ''
  return withPaths(`${about[0].toUpperCase()}${about.slice(1)}.${shown && ` Default: ${shown}${unit}.`}`)
}

/** Insertions of [position, text] into `source`, one for each property of an option that has no docstring. */
export function docstrings(source, tables) {
  const found = []
  const visit = (node, table) => {
    if (ts.isInterfaceDeclaration(node)) table = tables[node.name.text]
    const option = ts.isPropertySignature(node) && table?.[node.name.getText(source)]
    if (option) {
      const at = node.getStart(source)
      const { character } = source.getLineAndCharacterOfPosition(at)
      const text = `/** ${docstring(node.name.getText(source), option)} */\n${' '.repeat(character)}`
      if (!ts.getJSDocCommentsAndTags(node).length) found.push([at, text])
      table = option.options
    }
    ts.forEachChild(node, (child) => visit(child, table))
  }
  visit(source)
  return found
}
