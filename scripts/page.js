/** A rollup plugin: the page of `serve` as one file, dist/page.html.gz, with its script and its style in it. */
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { transform } from 'esbuild'

const FOLDER = 'src/cli/page'
/** In this order. */
const STYLES = ['node_modules/uplot/dist/uPlot.min.css', `${FOLDER}/page.css`]

const minified = async (text, loader) =>
  (await transform(text, { loader, minify: true, target: 'es2022', legalComments: 'none' })).code.trim()

export const page = {
  name: 'page',
  async generateBundle(_, bundle) {
    const chunk = Object.values(bundle).find(({ type }) => type === 'chunk')
    const style = await minified(STYLES.map((path) => readFileSync(path, 'utf8')).join('\n'), 'css')
    const script = await minified(`(() => {${chunk.code}})()`, 'js')
    const html = readFileSync(`${FOLDER}/page.html`, 'utf8')
      .replace('<style></style>', () => `<style>${style}</style>`)
      .replace('<script></script>', () => `<script>${script}</script>`)
    delete bundle[chunk.fileName]
    // Packed, since so it takes a third of the place in the package, and is sent like that.
    this.emitFile({ type: 'asset', fileName: 'page.html.gz', source: gzipSync(html, { level: 9 }) })
  },
}
