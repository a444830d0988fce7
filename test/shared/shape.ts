/** The shape of source files, by the TypeScript compiler: lengths, fields of classes, names declared, what imports what. */

import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import ts from 'typescript'

export type Files = Record<string, string>

/** All files of a folder whose names end like this, by their paths inside it. */
export function filesOf(folder: string, ending = ''): Files {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => entry.isFile() && entry.name.endsWith(ending))
  return Object.fromEntries(
    paths
      .map(({ parentPath, name }) => join(parentPath, name))
      .filter((path) => !path.includes('node_modules'))
      .map((path) => [relative(folder, path), readFileSync(path, 'utf8')]),
  )
}

const parsed = new Map<string, ts.SourceFile>()

function parse(path: string, text: string): ts.SourceFile {
  const key = path + text
  const known = parsed.get(key) ?? ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  parsed.set(key, known)
  return known
}

export function lines(text: string): number {
  return text.replace(/\n$/, '').split('\n').length
}

/** Files longer than this. */
export function longFiles(files: Files, most: number): string[] {
  return Object.keys(files).filter((path) => lines(files[path]) > most)
}

/** Named functions and methods longer than this, as "file name". */
export function longFunctions(files: Files, most: number): string[] {
  return Object.entries(files).flatMap(([path, text]) => {
    const source = parse(path, text)
    const long: string[] = []
    const visit = (node: ts.Node) => {
      const length = lines(node.getText(source))
      if (length > most && isNamed(node)) long.push(`${path} ${nameOf(node)}`)
      ts.forEachChild(node, visit)
    }
    visit(source)
    return long
  })
}

function isNamed(node: ts.Node): boolean {
  if (ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node) || ts.isAccessor(node)) return true
  if (ts.isConstructorDeclaration(node)) return true
  if (!ts.isArrowFunction(node) && !ts.isFunctionExpression(node)) return false
  const { parent } = node
  return ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent) || ts.isPropertyDeclaration(parent)
}

function nameOf(node: ts.Node): string {
  if (ts.isConstructorDeclaration(node)) return 'constructor'
  const { name } = (
    ts.isArrowFunction(node) || ts.isFunctionExpression(node) ? node.parent : node
  ) as ts.NamedDeclaration
  return name?.getText() ?? 'default'
}

interface Fields {
  fields: number
  mutable: number
}

/** Classes with more fields than this, or more that change, as "file Class". Objects that a class holds count by their own fields where the file declares them. */
export function wideClasses(files: Files, most: Fields): string[] {
  return Object.entries(files).flatMap(([path, text]) => {
    const source = parse(path, text)
    const declared = objectsOf(source)
    return classesOf(source)
      .filter((node) => {
        const { fields, mutable } = fieldsOf(node, declared)
        return fields > most.fields || mutable > most.mutable
      })
      .map((node) => `${path} ${node.name?.text ?? 'default'}`)
  })
}

function classesOf(source: ts.SourceFile): ts.ClassLikeDeclaration[] {
  const classes: ts.ClassLikeDeclaration[] = []
  const visit = (node: ts.Node) => {
    if (ts.isClassLike(node)) classes.push(node)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return classes
}

/** The object types that a file declares, by name. */
function objectsOf(source: ts.SourceFile): Map<string, ts.NodeArray<ts.TypeElement>> {
  const objects = new Map<string, ts.NodeArray<ts.TypeElement>>()
  for (const node of source.statements) {
    if (ts.isInterfaceDeclaration(node)) objects.set(node.name.text, node.members)
    if (ts.isTypeAliasDeclaration(node) && ts.isTypeLiteralNode(node.type))
      objects.set(node.name.text, node.type.members)
  }
  return objects
}

function fieldsOf(node: ts.ClassLikeDeclaration, declared: ReturnType<typeof objectsOf>): Fields {
  const sum = { fields: 0, mutable: 0 }
  const add = (field: ts.PropertyDeclaration | ts.ParameterDeclaration) => {
    const own = field.type && membersOf(field.type, declared)
    if (own) {
      sum.fields += own.length
      sum.mutable += own.filter((member) => !isReadonly(member)).length
    } else {
      sum.fields++
      sum.mutable += Number(!isReadonly(field))
    }
  }
  for (const member of node.members) {
    if (ts.isPropertyDeclaration(member) && !has(member, ts.SyntaxKind.StaticKeyword)) add(member)
    if (!ts.isConstructorDeclaration(member)) continue
    for (const parameter of member.parameters) if (parameter.modifiers?.length) add(parameter)
  }
  return sum
}

/** The fields of an object type that is written here or declared in the file; undefined where it is another type. */
function membersOf(type: ts.TypeNode, declared: ReturnType<typeof objectsOf>): ts.PropertySignature[] | undefined {
  if (ts.isUnionTypeNode(type)) {
    const objects = type.types.flatMap((each) => membersOf(each, declared) ?? [])
    return objects.length ? objects : undefined
  }
  const members = ts.isTypeLiteralNode(type)
    ? type.members
    : ts.isTypeReferenceNode(type)
      ? declared.get(type.typeName.getText())
      : undefined
  const fields = members?.filter(ts.isPropertySignature).filter(({ type }) => !type || !ts.isFunctionTypeNode(type))
  return fields?.length ? fields : undefined
}

function has(node: ts.HasModifiers, kind: ts.SyntaxKind): boolean {
  return node.modifiers?.some((each) => each.kind === kind) === true
}

function isReadonly(node: ts.TypeElement | ts.PropertyDeclaration | ts.ParameterDeclaration): boolean {
  return has(node as ts.HasModifiers, ts.SyntaxKind.ReadonlyKeyword)
}

/** Types and classes that more than one file declares, as "Name: file, file". */
export function declaredTwice(files: Files): string[] {
  const where = new Map<string, string[]>()
  for (const [path, text] of Object.entries(files)) {
    for (const node of parse(path, text).statements) {
      if (!ts.isClassDeclaration(node) && !ts.isInterfaceDeclaration(node) && !ts.isTypeAliasDeclaration(node)) continue
      const name = node.name?.text ?? ''
      where.set(name, [...(where.get(name) ?? []), path])
    }
  }
  return [...where]
    .filter(([, paths]) => paths.length > 1)
    .map(([name, paths]) => `${name}: ${paths.sort().join(', ')}`)
}

/** What a file imports or exports again, types included: module specifiers. */
export function imports(text: string): string[] {
  return [...text.matchAll(/(?:from|import\(|import) ?'([\w@./:-]+)'/g)].map((match) => match[1])
}

/** The names that a file exports. */
export function exportsOf(text: string): string[] {
  return parse('index.ts', text).statements.flatMap((node) => {
    if (ts.isExportDeclaration(node) && node.exportClause && ts.isNamedExports(node.exportClause)) {
      return node.exportClause.elements.map(({ name }) => name.text)
    }
    return []
  })
}
