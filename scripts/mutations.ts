/** What can be changed in a file's conditions and arithmetic, and where a program gets to. */

import ts from 'typescript'

export interface Mutation {
  file: string
  line: number
  from: number
  to: number
  text: string
  instead: string
  /** The whole condition or sum. */
  whole: { from: number; to: number }
}

/** What each operator becomes. */
const SWAPS: Record<string, string> = {
  '<': '<=',
  '<=': '<',
  '>': '>=',
  '>=': '>',
  '===': '!==',
  '!==': '===',
  '&&': '||',
  '||': '&&',
  '+': '-',
  '-': '+',
  '*': '/',
  '/': '*',
}

/** All changes that a file's conditions and arithmetic allow. */
export function mutationsOf(file: string, text: string): Mutation[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const found: Mutation[] = []
  const add = (node: ts.Node, instead: string, within = node) => {
    const [from, to] = [node.getStart(source), node.getEnd()]
    const line = source.getLineAndCharacterOfPosition(from).line + 1
    const whole = { from: within.getStart(source), to: within.getEnd() }
    found.push({ file, line, from, to, text: text.slice(from, to), instead, whole })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isBinaryExpression(node)) {
      const swap = SWAPS[node.operatorToken.getText(source)]
      if (swap && !(swap === '-' && isText(node))) add(node.operatorToken, swap, node)
    }
    if (isNot(node)) add(node, node.operand.getText(source))
    const condition = conditionOf(node)
    if (condition && !isSwapped(condition)) add(condition, `!(${condition.getText(source)})`)
    if (!ts.isTypeNode(node)) ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

const isNot = (node: ts.Node): node is ts.PrefixUnaryExpression =>
  ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.ExclamationToken

/** `a + b` of strings. */
const isText = ({ left, right }: ts.BinaryExpression) =>
  [left, right].some((side) => ts.isStringLiteralLike(side) || ts.isTemplateExpression(side))

function conditionOf(node: ts.Node): ts.Expression | undefined {
  if (ts.isIfStatement(node)) return node.expression
  return ts.isConditionalExpression(node) ? node.condition : undefined
}

/** Conditions whose opposite is a change of their operator. */
const isSwapped = (condition: ts.Expression) =>
  isNot(condition) || (ts.isBinaryExpression(condition) && ['===', '!=='].includes(condition.operatorToken.getText()))

/** The text of a file that calls `globalThis.reached(first + i)`, where there is that, wherever it comes to what the i-th mutation changes. */
export function withProbes(text: string, mutations: readonly Mutation[], first: number): string {
  const open = mutations.map(({ whole: { from, to } }, i) => ({ at: from, size: to - from, what: `(globalThis.reached?.(${first + i}), ` })) // biome-ignore format: one line
  const close = mutations.map(({ whole: { from, to } }) => ({ at: to, size: from - to, what: ')' }))
  // At one place what ends comes first; of what begins there, the largest.
  const inserted = [...close, ...open].sort((a, b) => a.at - b.at || Number(a.size > 0) - Number(b.size > 0) || b.size - a.size) // biome-ignore format: one line
  let [probed, last] = ['', 0]
  for (const { at, what } of inserted) {
    probed += text.slice(last, at) + what
    last = at
  }
  return probed + text.slice(last)
}
