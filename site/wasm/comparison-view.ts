/** WASM beside JavaScript in the visitor's own browser: a button, then a table and a plot, in any element of any page. */

import type { Comparison } from '../../bench/kernels/comparison'

function element<Name extends keyof HTMLElementTagNameMap>(name: Name, text = ''): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name)
  made.textContent = text
  return made
}

/** @param most  the largest size, in values. Default: all, which takes a minute or two, and 200 MB */
export function showComparison(root: HTMLElement, most?: number): void {
  const button = element('button', 'Run it in this browser')
  button.type = 'button'
  const bar = element('progress')
  bar.hidden = true
  bar.setAttribute('aria-label', 'share that is done')
  const status = element('p', 'It takes a minute or two. Other tabs disturb it.')
  status.setAttribute('role', 'status')
  const results = element('div')
  root.replaceChildren(button, bar, status, results)
  button.addEventListener('click', async () => {
    button.disabled = true
    bar.hidden = false
    bar.value = 0
    results.replaceChildren()
    try {
      // Fetched on demand: the libraries that it compares with are large.
      const [{ compare }, findings] = await Promise.all([
        import('../../bench/kernels/comparison'),
        import('../../bench/kernels/findings'),
      ])
      const onProgress = (share: number, next: string) => {
        bar.value = share
        const text = next.replace(/,[^,]* values$/, '') // each case is told once
        if (status.textContent !== text) status.textContent = text
      }
      const comparison = await compare({ onProgress, ...(most && { most }) })
      status.textContent = findings.sentences(comparison).join(' ')
      results.append(
        tableOf(comparison, findings),
        pictureOf(comparison, findings),
        element('p', findings.verdict(comparison)),
      )
    } catch (error) {
      status.textContent = String(error)
    }
    bar.hidden = true
    button.disabled = false
    button.textContent = 'Run it again'
  })
}

type Findings = typeof import('../../bench/kernels/findings')

/** It scrolls by itself where a phone is too narrow. */
function tableOf(comparison: Comparison, { HEAD, gainTable }: Findings): HTMLElement {
  const table = element('table')
  table.append(element('caption', 'How many times as long JavaScript takes as WASM. Below 1 JavaScript is faster.'))
  const line = (cells: readonly string[], isHead: boolean) => {
    const row = element('tr')
    cells.forEach((text, i) => {
      const cell = element(isHead || !i ? 'th' : 'td', text)
      if (cell.tagName === 'TH') cell.setAttribute('scope', isHead ? 'col' : 'row')
      row.append(cell)
    })
    return row
  }
  const [head, body] = [element('thead'), element('tbody')]
  head.append(line(['values', ...HEAD.slice(1)], true))
  body.append(...gainTable(comparison).map((cells) => line(cells, false)))
  table.append(head, body)
  const scrolled = element('div')
  scrolled.className = 'scrolled'
  scrolled.tabIndex = 0
  scrolled.setAttribute('role', 'region')
  scrolled.setAttribute('aria-label', 'table of results')
  scrolled.append(table)
  return scrolled
}

function pictureOf(comparison: Comparison, { picture }: Findings): HTMLElement {
  const figure = element('figure')
  figure.innerHTML = picture(new Map([['this browser', comparison]]), matchMedia('(max-width: 700px)').matches ? 2 : 4)
  return figure
}
