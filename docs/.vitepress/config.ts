import { readFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path/posix'
import { defineConfig, type MarkdownRenderer } from 'vitepress'
import manifest from '../../package.json' with { type: 'json' }
import { PARTS, slug } from '../../scripts/docs-rules'
import typedoc from '../../typedoc.json' with { type: 'json' }
import { linkGlossary } from './glossary'

const SOURCES = `${manifest.homepage.replace(/#.*/, '')}/blob/main`

/** The entries of the package: typedoc writes a page for each. */
const ENTRIES = typedoc.entryPoints.map((path) => basename(path, '.ts'))

const page = (path: string) => {
  const [, title] = /^# (.*)$/m.exec(readFileSync(path, 'utf8')) ?? []
  return { text: (title ?? path).replaceAll('`', ''), link: `/${relative('docs', path).replace(/(index)?\.md$/, '')}` }
}
const pages = (part: keyof typeof PARTS) => PARTS[part].map(page)

/** Files of the repository that are no pages are shown where the repository is. */
function linkSources(md: MarkdownRenderer): void {
  md.core.ruler.push('sources', ({ tokens, env }) => {
    const { relativePath = '' } = env as { relativePath?: string }
    for (const { children } of tokens) {
      for (const token of children ?? []) {
        const href = token.attrGet('href')
        if (!href || /^([a-z]+:|#|\/)/.test(href)) continue
        const path = join('docs', dirname(relativePath), href)
        if (!path.startsWith('docs/')) token.attrSet('href', `${SOURCES}/${path}`)
      }
    }
  })
}

export default defineConfig({
  title: 'approxifer',
  description: manifest.description,
  outDir: '../build/site',
  cleanUrls: false,
  lastUpdated: false,
  // Built beside the pages: the film, and the comparison of WASM with JavaScript.
  ignoreDeadLinks: [/\/(film|wasm)\/index/],
  markdown: {
    anchor: { slugify: slug },
    config(md) {
      linkGlossary(md)
      linkSources(md)
    },
  },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    socialLinks: [{ icon: 'github', link: manifest.homepage.replace(/#.*/, '') }],
    nav: [
      { text: 'Start', link: '/start' },
      { text: 'How to', link: '/how-to/p99' },
      { text: 'How it works', link: '/how-it-works/stack' },
      { text: 'Reference', link: '/reference/options' },
      { text: 'Appendix', link: '/appendix/performance' },
    ],
    sidebar: [
      { text: 'Start', items: pages('start') },
      { text: 'How to', items: pages('how to') },
      { text: 'How it works', items: pages('how it works') },
      {
        text: 'Reference',
        collapsed: true,
        items: [
          ...pages('reference'),
          { text: 'API', items: ENTRIES.map((entry) => ({ text: entry, link: `/reference/api/${entry}` })) },
        ],
      },
      { text: 'Appendix', collapsed: true, items: pages('appendix') },
    ],
  },
})
