import { readFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path/posix'
import { defineConfig, type MarkdownRenderer } from 'vitepress'
import manifest from '../../package.json' with { type: 'json' }
import { importOf, PARTS, slug } from '../../scripts/docs-rules'
import typedoc from '../../typedoc.json' with { type: 'json' }
import { facts, hero } from './first-page'
import { linkGlossary } from './glossary'
import { withSynonyms } from './synonyms'

const REPOSITORY = manifest.homepage.replace(/#.*/, '')
const SOURCES = `${REPOSITORY}/blob/main`

/** Where a link to a page is shown as a card. Cards need a whole address, and the site may stand anywhere: the picture is the repository's. */
const CARD = `${REPOSITORY.replace('github.com', 'raw.githubusercontent.com')}/main/docs/public/card.png`

/** The entries of the package: typedoc writes a page for each. */
const ENTRIES = typedoc.entryPoints.map((path) => basename(path, '.d.ts'))

const page = (path: string) => {
  const [, title] = /^# (.*)$/m.exec(readFileSync(path, 'utf8')) ?? []
  return { text: (title ?? path).replaceAll('`', ''), link: `/${relative('docs', path).replace(/(index)?\.md$/, '')}` }
}
const pages = (part: keyof typeof PARTS) => PARTS[part].map(page)

/** Beside the pages, where the site does not look: the film, and the comparison of WASM with JavaScript. */
const BESIDE = /\/(film|wasm)\/index/

/** Files of the repository that are no pages are shown where the repository is; what is built beside the pages is loaded anew. */
function linkSources(md: MarkdownRenderer): void {
  md.core.ruler.push('sources', ({ tokens, env }) => {
    const { relativePath = '' } = env as { relativePath?: string }
    for (const { children } of tokens) {
      for (const token of children ?? []) {
        const href = token.attrGet('href')
        if (!href || /^([a-z]+:|#|\/)/.test(href)) continue
        const path = join('docs', dirname(relativePath), href)
        if (BESIDE.test(path)) token.attrSet('target', '_self')
        if (!path.startsWith('docs/')) token.attrSet('href', `${SOURCES}/${path}`)
      }
    }
  })
}

export default defineConfig({
  title: 'approxifer',
  description: manifest.description,
  outDir: '../build/site',
  head: [['link', { rel: 'icon', href: '/logo.svg', type: 'image/svg+xml' }]],
  cleanUrls: false,
  lastUpdated: false,
  ignoreDeadLinks: [BESIDE],
  markdown: {
    anchor: { slugify: slug },
    config(md) {
      linkGlossary(md)
      linkSources(md)
    },
  },
  transformPageData(page) {
    if (page.relativePath === 'index.md') Object.assign(page.frontmatter, { layout: 'home', hero, features: facts })
  },
  transformHead: ({ title, description }) =>
    Object.entries({ title, description, type: 'website', image: CARD }).map(
      ([name, content]) => ['meta', { property: `og:${name}`, content }] as const,
    ),
  themeConfig: {
    logo: '/logo.svg',
    search: {
      provider: 'local',
      options: { detailedView: true, miniSearch: { searchOptions: { processTerm: withSynonyms } } },
    },
    outline: [2, 3],
    socialLinks: [{ icon: 'github', link: REPOSITORY }],
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
          {
            text: 'API',
            link: '/reference/api/README',
            items: ENTRIES.map((entry) => ({ text: importOf(entry), link: `/reference/api/${entry}` })),
          },
        ],
      },
      { text: 'Appendix', collapsed: true, items: pages('appendix') },
    ],
  },
})
