/** Links the first occurrence of each glossary term on a page to docs/reference/glossary.md. */

import { readFileSync } from 'node:fs'
import type { MarkdownRenderer } from 'vitepress'
import { slug } from '../../scripts/docs-rules'

export const GLOSSARY = 'reference/glossary.md'

/** Terms that pages also use in their common sense: "your service", "a link to". */
const COMMON: readonly string[] = ['service', 'link', 'window', 'trial']

interface Term {
  word: string
  anchor: string
  pattern: RegExp
}

/** A heading names one term or several, "hedge, retry"; one in backticks stands in programs only. */
export function termsOf(glossary: string): Term[] {
  return [...glossary.matchAll(/^## (.+)$/gm)].flatMap(([, heading]) =>
    heading.split(', ').map((word) => {
      const isCode = word.startsWith('`')
      const bare = word.replaceAll('`', '')
      const isName = /^[A-Z]$/.test(bare)
      const escaped = bare.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
      const pattern = isCode ? `^${escaped}$` : `(?<![\\w-])${escaped}${isName ? '' : '(?:s|es)?'}(?![\\w-])`
      return { word, anchor: slug(heading), pattern: new RegExp(pattern, isName || isCode ? '' : 'i') }
    }),
  )
}

/** The longest terms first, so that "coded query" is not linked as "query". */
const sorted = (terms: readonly Term[]) => [...terms].sort((a, b) => b.word.length - a.word.length)

export function linkGlossary(md: MarkdownRenderer): void {
  const all = termsOf(readFileSync(new URL(`../${GLOSSARY}`, import.meta.url), 'utf8'))
  const terms = sorted(all.filter(({ word }) => !COMMON.includes(word)))
  md.core.ruler.push('glossary', (state) => {
    const { relativePath } = state.env as { relativePath?: string }
    if (!relativePath || relativePath === GLOSSARY || relativePath.startsWith('reference/api/')) return
    const left = new Set(terms)
    const depth = relativePath.split('/').length - 1
    const href = ({ anchor }: Term) => `${'../'.repeat(depth)}${GLOSSARY.replace('.md', '.html')}#${anchor}`
    for (const [i, token] of state.tokens.entries()) {
      if (token.type !== 'inline' || state.tokens[i - 1]?.type === 'heading_open') continue
      const children = []
      let inLink = 0
      for (const child of token.children ?? []) {
        if (child.type === 'link_open') inLink++
        if (child.type === 'link_close') inLink--
        const isLinkable = !inLink && (child.type === 'text' || child.type === 'code_inline')
        children.push(...(isLinkable ? linked(child) : [child]))
      }
      token.children = children

      function linked(child: (typeof state.tokens)[number]): typeof state.tokens {
        for (const term of left) {
          if (term.word.startsWith('`') !== (child.type === 'code_inline')) continue
          const found = term.pattern.exec(child.content)
          if (!found) continue
          for (const other of left) if (other.anchor === term.anchor) left.delete(other)
          const open = new state.Token('link_open', 'a', 1)
          open.attrs = [['href', href(term)], ['class', 'term']] // biome-ignore format: one line
          const close = new state.Token('link_close', 'a', -1)
          if (child.type === 'code_inline') return [open, child, close]
          const text = (content: string) => Object.assign(new state.Token('text', '', 0), { content })
          const [before, after] = [
            child.content.slice(0, found.index),
            child.content.slice(found.index + found[0].length),
          ]
          return [...linked(text(before)), open, text(found[0]), close, ...linked(text(after))]
        }
        return [child]
      }
    }
  })
}
