import { execSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path/posix'
import { describe, expect, it } from 'vitest'
import manifest from '../package.json'
import { isBuilt } from '../scripts/docs-rules'
import { LIBRARIES } from '../scripts/libraries.js'
import { declaredTwice, exportsOf, type Files, filesOf, imports, rings } from './shared/source-shape'

/** What applications import: `approxifer`, and subpaths of it. */
const ENTRIES = ['index', 'codec', 'gateway', 'http', 'layers', 'nats', 'testing']

/** What folders of src, files beside them and entries may import beside `base`, which is what everything stands on: each only what stands above it. */
const LAYERS: Record<string, string[]> = {
  base: [],
  platform: [],
  oip: [],
  core: ['platform'],
  codec: ['core'],
  memory: ['core', 'platform'],
  workers: ['platform', 'oip'],
  pool: ['workers'],
  events: ['pool', 'workers'],
  service: ['events', 'pool', 'memory'],
  trust: ['service', 'events', 'memory', 'workers', 'pool'],
  layers: ['service', 'events', 'memory', 'codec', 'workers', 'pool', 'trust'],
  predictor: ['service', 'events', 'layers', 'core', 'codec', 'memory', 'workers', 'pool', 'trust'],
  gateway: ['events', 'platform', 'oip', 'workers', 'predictor'],
  testing: ['workers', 'memory', 'platform'],
  worker: ['platform', 'memory', 'workers'],
  film: ['events', 'layers', 'pool', 'predictor', 'testing', 'workers'],
  evaluate: ['core', 'codec', 'memory', 'workers', 'layers', 'trust', 'predictor', 'testing', 'film'],
  cli: [
    'events',
    'layers',
    'core',
    'codec',
    'memory',
    'workers',
    'oip',
    'pool',
    'trust',
    'predictor',
    'gateway',
    'testing',
    'evaluate',
    'film',
  ],
  'entry index': ['events', 'memory', 'workers', 'pool', 'trust', 'predictor'],
  'entry codec': ['core', 'codec', 'memory'],
  'entry gateway': ['gateway'],
  'entry http': ['workers'],
  'entry layers': ['service', 'pool', 'layers'],
  'entry nats': ['platform', 'workers'],
  'entry testing': ['testing'],
}

/** Of a file or, without an extension, of what an import names. An entry may be called like a folder. */
function layerOf(path: string): string {
  const [name, ...inside] = path.replace(/\.ts$/, '').split('/')
  return inside.length === 0 && ENTRIES.includes(name) ? `entry ${name}` : name
}

/** Imports that go the wrong way, as "file -> what". */
function wrongWay(files: Files): string[] {
  return Object.entries(files).flatMap(([file, text]) =>
    imports(text).flatMap((to) => {
      const isPlatform = to === '#platform' || to === '#keys'
      if (!to.startsWith('.') && !isPlatform) return []
      const target = isPlatform ? 'platform' : join(file, '..', to)
      if (target.startsWith('../build/')) return layerOf(file) === 'platform' ? [] : [`${file} -> ${to}`]
      const [own, other] = [layerOf(file), layerOf(target)]
      const isBase = other === 'base' && own !== 'platform'
      return own === other || isBase || LAYERS[own]?.includes(other) ? [] : [`${file} -> ${target}`]
    }),
  )
}

/** Files that use what only some may, as "file: what". */
function misplaced(files: Files): string[] {
  const only: [RegExp, RegExp][] = [
    [/memory\.buffer/, /^core\/wasm\.ts$/],
    [/\bcos\(|\bsin\(/, /^base\/scheme\.ts$/],
    [/'node:|\bprocess\./, /^(platform\/node(-files|-keys)?|cli\/.*)\.ts$/],
    [/\b(navigator|window|Deno|Bun)\./, /^$/],
    [/FaultyWorker/, /^testing(\/faulty)?\.ts$/],
    [/import\.meta/, /^(platform\/.*|cli\/(demo\/digits|serve\/page|main))\.ts$/],
  ]
  return Object.entries(files).flatMap(([file, text]) =>
    only.flatMap(([what, where]) => (what.test(text) && !where.test(file) ? [`${file}: ${what.source}`] : [])),
  )
}

/** Of what an import names. */
function packageOf(to: string): string {
  return (/^@[^/]+\/[^/]+|^[^/]+/.exec(to) as RegExpExecArray)[0]
}

describe('structure', () => {
  const libraries = [...new Set(LIBRARIES.map(packageOf))]

  const files = filesOf('src')

  it('sees the sources', () => {
    expect(Object.keys(files).length).toBeGreaterThan(25)
    expect(imports(files['index.ts']).length).toBeGreaterThan(8)
    for (const entry of ENTRIES) expect(Object.keys(manifest.exports)).toContain(entry === 'index' ? '.' : `./${entry}`)
  })

  it('imports run one way', () => {
    expect(wrongWay(files).sort()).toEqual([])
  })

  it('a fleet of machines does not know what carries its messages', () => {
    const machines = Object.entries(files).filter(([file]) => file.startsWith('workers/machines/'))
    expect(machines.length).toBeGreaterThan(10)
    expect(machines.filter(([, text]) => imports(text).some((to) => to.includes('/nats/')))).toEqual([])
  })

  it('platform differences, memory and cosines stay where they belong', () => {
    expect(misplaced(files)).toEqual([])
  })

  it('no more than three files import each other, types included', () => {
    expect(rings(files).filter((ring) => ring.length > 3)).toEqual([])
  })

  it('notices files that import each other', () => {
    const bad = {
      'a.ts': "import type { B } from './b'",
      'b.ts': "import './c'",
      'c.ts': "import './a'\nimport './d'",
      'd.ts': '',
    }
    expect(rings(bad)).toEqual([['a.ts', 'b.ts', 'c.ts']])
  })

  it('no type or class is declared in two files', () => {
    expect(declaredTwice(files).sort()).toEqual([])
  })

  it('most people need few names', () => {
    expect(exportsOf(files['index.ts']).length).toBeLessThanOrEqual(30)
  })

  it('notices what is declared twice', () => {
    const bad = { 'a.ts': 'interface State {}\n', 'b.ts': 'interface State {}\nfunction state() {}\n' }
    expect(declaredTwice(bad)).toEqual(['State: a.ts, b.ts'])
  })

  it('notices when they do not', () => {
    const bad = {
      'codec/codec.ts': "import { localWorkers } from '../workers/local'",
      'workers/local.ts': "import { Codec } from '../codec/codec'",
      'base/tensor.ts': "import type { Core } from '../core/core'",
      'base/errors.ts': "import type { Attempt } from '../pool/attempt'",
      'platform/web.ts': "import { expected } from '../base/check'",
      'predictor/stack.ts': "const evaluate = await import('../evaluate/evaluate')",
      'core/js.ts': "import bytes from '../../build/core-bytes.js'",
      'extra/new.ts': "import '../errors'",
      'gateway/create.ts': "import { Codec } from '../codec'",
      'http.ts': "import { Codec } from './codec/codec'",
    }
    expect(wrongWay(bad).map((line) => line.split(' ')[0])).toEqual(Object.keys(bad))
    const odd = { 'codec/codec.ts': 'if (process.versions.node) Math.cos(memory.buffer)' }
    expect(misplaced(odd).length).toBe(3)
  })

  it('every package imported is declared, bundled or an optional peer, and nothing declared is unused', () => {
    const bundled = [
      'comlink',
      'leven',
      'tinyqueue',
      '@noble/curves',
      '@noble/hashes',
      'lit-html',
      'uplot',
      ...libraries,
    ]
    const declared = Object.keys(manifest.peerDependencies)
    const bare = Object.values(files)
      .flatMap(imports)
      .filter((to) => !/^[.#]|^node:/.test(to))
    const used = new Set(bare.map(packageOf))
    expect([...used].filter((name) => !declared.includes(name) && !bundled.includes(name))).toEqual([])
    const hidden = [
      'onnxruntime-node',
      'undici',
      '@nats-io/transport-node',
      '@nats-io/nats-core',
      '@huggingface/tokenizers',
    ] // imported by a variable, so that bundlers pass over it
    expect(declared.filter((name) => !used.has(name) && !hidden.includes(name))).toEqual([])
    expect(bundled.filter((name) => !used.has(name))).toEqual([])
  })

  it('only the command line uses its libraries', () => {
    const users = Object.entries(files).filter(([, text]) =>
      imports(text).some((to) => libraries.includes(packageOf(to))),
    )
    expect(users.map(([file]) => layerOf(file)).filter((layer) => layer !== 'cli')).toEqual([])
  })
})

describe('the package', () => {
  it('has all that its own documents link to', () => {
    const listed = execSync('npm pack --dry-run --json --ignore-scripts', { encoding: 'utf8', stdio: 'pipe' }) // in a shell, as Windows needs it for npm
    const packed: string[] = JSON.parse(listed)[0].files.map(({ path }: { path: string }) => path)
    const isThere = (path: string) => packed.some((each) => each === path || each.startsWith(`${path}/`))
    const links = packed
      .filter((path) => path.endsWith('.md'))
      .flatMap((path) =>
        [...readFileSync(path, 'utf8').matchAll(/\]\(([^)#\s]+)/g)].map(([, to]) => [path, to] as const),
      )
      .filter(([path, to]) => !/^\w+:/.test(to) && !isBuilt(join(dirname(path), to)))
    expect(links.length).toBeGreaterThan(20)
    expect(links.filter(([path, to]) => !isThere(join(dirname(path), to)))).toEqual([])
  })
})
