import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import manifest from '../package.json'

/** Which folders (or files) of src each may import from. */
const LAYERS: Record<string, string[]> = {
  errors: [],
  append: [],
  random: [],
  clock: [],
  checksum: [],
  saved: ['errors'],
  abort: ['errors'],
  tensor: ['errors'],
  json: [],
  oip: ['errors', 'json', 'tensor'],
  criterion: ['errors', 'tensor'],
  scheme: ['errors'],
  platform: [],
  'own-request': ['platform', 'errors'],
  core: ['platform', 'errors'],
  codec: ['append', 'core', 'criterion', 'scheme', 'errors', 'saved'],
  history: ['core', 'criterion', 'scheme', 'errors', 'tensor', 'random', 'checksum', 'saved'],
  workers: ['platform', 'tensor', 'oip', 'errors', 'abort', 'random', 'checksum', 'clock', 'json'],
  serving: [
    'append',
    'criterion',
    'codec',
    'history',
    'workers',
    'core',
    'scheme',
    'tensor',
    'oip',
    'json',
    'errors',
    'abort',
    'random',
    'clock',
  ],
  evaluate: ['serving', 'criterion', 'codec', 'history', 'workers', 'core', 'scheme', 'tensor', 'errors', 'random'],
  create: ['serving', 'codec', 'workers', 'core', 'scheme', 'own-request', 'errors'],
  'create-gateway': ['create', 'serving', 'platform', 'own-request', 'errors'],
  cli: [
    'create',
    'create-gateway',
    'criterion',
    'random',
    'evaluate',
    'serving',
    'codec',
    'history',
    'workers',
    'core',
    'scheme',
    'tensor',
    'errors',
  ],
  index: [
    'create',
    'create-gateway',
    'criterion',
    'serving',
    'codec',
    'history',
    'workers',
    'core',
    'scheme',
    'tensor',
    'errors',
  ],
}

type Files = Record<string, string>

function sources(): Files {
  const paths = readdirSync('src', { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const path = (entry: (typeof paths)[number]) => join(entry.parentPath, entry.name)
  return Object.fromEntries(paths.map((entry) => [relative('src', path(entry)), readFileSync(path(entry), 'utf8')]))
}

const imports = (text: string) =>
  [...text.matchAll(/(?:from|import\(|import) ?'([\w@./:-]+)'/g)].map((match) => match[1])
const layerOf = (path: string) => path.split('/')[0].replace(/\.ts$/, '')

/** Imports that go the wrong way, as "file -> what". */
function wrongWay(files: Files): string[] {
  return Object.entries(files).flatMap(([file, text]) =>
    imports(text).flatMap((to) => {
      if (!to.startsWith('.') && to !== '#platform') return []
      const target = to === '#platform' ? 'platform' : join(file, '..', to)
      if (target.startsWith('../build/')) return layerOf(file) === 'platform' ? [] : [`${file} -> ${to}`]
      const [own, other] = [layerOf(file), layerOf(target)]
      return own === other || LAYERS[own]?.includes(other) ? [] : [`${file} -> ${to}`]
    }),
  )
}

/** Files that use what only some may, as "file: what". */
function misplaced(files: Files): string[] {
  const only: [RegExp, RegExp][] = [
    [/memory\.buffer/, /^core\/wasm\.ts$/],
    [/\bcos\(|\bsin\(/, /^scheme\.ts$/],
    [/'node:|\bprocess\./, /^(platform\/node(-files)?|cli\/.*)\.ts$/],
    [/\b(navigator|window|Deno|Bun)\./, /^$/],
    [/FaultyWorker/, /^(workers\/faulty|index)\.ts$/],
    [/import\.meta/, /^(platform\/.*|cli\/(demo\/demo|main))\.ts$/],
  ]
  return Object.entries(files).flatMap(([file, text]) =>
    only.flatMap(([what, where]) => (what.test(text) && !where.test(file) ? [`${file}: ${what.source}`] : [])),
  )
}

describe('structure', () => {
  const files = sources()

  it('sees the sources', () => {
    expect(Object.keys(files).length).toBeGreaterThan(25)
    expect(imports(files['index.ts']).length).toBeGreaterThan(8)
  })

  it('imports run one way', () => {
    expect(wrongWay(files)).toEqual([])
  })

  it('platform differences, memory and cosines stay where they belong', () => {
    expect(misplaced(files)).toEqual([])
  })

  it('notices when they do not', () => {
    const bad = {
      'codec/codec.ts': "import { localWorkers } from '../workers/local'",
      'workers/local.ts': "import { Codec } from '../codec/codec'",
      'tensor.ts': "import type { Core } from './core/core'",
      'platform/web.ts': "import { expected } from '../errors'",
      'serving/run.ts': "const evaluate = await import('../evaluate/evaluate')",
      'core/js.ts': "import bytes from '../../build/core-bytes.js'",
      'extra/new.ts': "import '../errors'",
    }
    expect(wrongWay(bad).map((line) => line.split(' ')[0])).toEqual(Object.keys(bad))
    const odd = { 'codec/codec.ts': 'if (process.versions.node) Math.cos(memory.buffer)' }
    expect(misplaced(odd).length).toBe(3)
  })

  it('every package imported is declared, bundled or an optional peer, and nothing declared is unused', () => {
    const bundled = ['comlink', 'fastest-levenshtein', 'tinyqueue']
    const declared = [...Object.keys(manifest.dependencies), ...Object.keys(manifest.peerDependencies)]
    const bare = Object.values(files)
      .flatMap(imports)
      .filter((to) => !/^[.#]|^node:/.test(to))
    const used = new Set(bare.map((to) => (/^@[^/]+\/[^/]+|^[^/]+/.exec(to) as RegExpExecArray)[0]))
    expect([...used].filter((name) => !declared.includes(name) && !bundled.includes(name))).toEqual([])
    const hidden = ['onnxruntime-node', 'undici', '@nats-io/transport-node', '@nats-io/nats-core', 'hono'] // imported by a variable, so that bundlers pass over it; @hono/node-server's peer
    expect(declared.filter((name) => !used.has(name) && !hidden.includes(name))).toEqual([])
    expect(Object.keys(manifest.dependencies).filter((name) => name === 'onnxruntime-web')).toEqual([])
  })

  it('only the command line uses its libraries', () => {
    const libraries = Object.keys(manifest.dependencies)
    const users = Object.entries(files).filter(([, text]) => imports(text).some((to) => libraries.includes(to)))
    expect(users.map(([file]) => layerOf(file)).filter((layer) => layer !== 'cli')).toEqual([])
  })
})

describe('the package', () => {
  it('has all that its own documents link to', () => {
    const listed = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { encoding: 'utf8', stdio: 'pipe' }) // biome-ignore format: one line
    const packed: string[] = JSON.parse(listed)[0].files.map(({ path }: { path: string }) => path)
    const isThere = (path: string) => packed.some((each) => each === path || each.startsWith(`${path}/`))
    const links = packed
      .filter((path) => path.endsWith('.md'))
      .flatMap((path) =>
        [...readFileSync(path, 'utf8').matchAll(/\]\(([^)#\s]+)/g)].map(([, to]) => [path, to] as const),
      )
      .filter(([, to]) => !/^\w+:/.test(to))
    expect(links.length).toBeGreaterThan(20)
    expect(links.filter(([path, to]) => !isThere(join(dirname(path), to)))).toEqual([])
  })
})
