/** Tables as plain columns: no boxes, no colours. */

import Table from 'cli-table3'

const parts = ['top', 'bottom', 'left', 'right', 'top-mid', 'top-left', 'top-right', 'bottom-mid', 'bottom-left']
const more = ['bottom-right', 'mid', 'left-mid', 'mid-mid', 'right-mid']
const chars = { ...Object.fromEntries([...parts, ...more].map((part) => [part, ''])), middle: '  ' }

export function table(head: string[]) {
  return new Table({ head, chars, style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 } })
}
