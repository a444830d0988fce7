// A plugin of rollup for bundles that run in browsers.

/** Where the sentences of options stand among a function's arguments; see src/base/option.ts. */
const sentences = { option: [2, 3], open: [1, 2, 3], group: [0], switchable: [0, 1] }

/**
 * Takes the sentences of options out: only the command line and docs/ have a use for them, and neither runs in browsers. So a module with
 * options differs by platform, and Node's has a file of its own.
 */
export const untold = {
  name: 'untold',
  transform(code) {
    if (!/ from ['"]\.[./a-z]*\/option['"]/.test(code)) return null
    const found = []
    const visit = (node) => {
      if (node.type === 'CallExpression') {
        const said = (sentences[node.callee.name] ?? []).map((place) => node.arguments[place])
        found.push(...said.filter((argument) => argument && /Literal$/.test(argument.type)))
      }
      for (const each of Object.values(node).flat()) if (each?.type) visit(each)
    }
    visit(this.parse(code))
    const blank = (text, { start, end }) => `${text.slice(0, start)}''${text.slice(end)}`
    return { code: found.sort((a, b) => b.start - a.start).reduce(blank, code), map: null }
  },
}
