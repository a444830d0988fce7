import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { scratch } from '../shared/cli'
import { NO_PROC } from '../shared/machine-needs'
import { freePort } from '../shared/nats-server'
import { onnx } from '../shared/onnx'
import { ask, json, LENET, type Line, Served } from '../shared/served-process'
import { until } from '../shared/waiting'

const { folder } = scratch()
const own = (version = '1') => ({ model: join(process.cwd(), LENET), workers: 1, version })
const put = (name: string, content: string | object) => {
  const file = join(folder, name)
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
  return file
}
let served: Served
afterEach(() => served.process.kill('SIGKILL'))

/** Of a process whose models are not all loaded: it takes a free port by itself. */
async function early(args: readonly string[]): Promise<Served> {
  served = new Served(args)
  const line = await served.line(({ url }) => url !== undefined)
  served.url = String(line.url)
  return served
}
const status = async (path: string) => (await fetch(`${served.url}/v2/${path}`)).status
const isOf =
  (text: string) =>
  ({ msg }: Line) =>
    msg === text

describe('one wrong address among three models', () => {
  it('holds up neither the others, nor changes of theirs, nor its own correction', async () => {
    const port = await freePort()
    const worker = await Served.start([`wrong=${LENET}`, '--workers', '1'])
    const wrong = { workers: `http://127.0.0.1:${port}` }
    const file = put('three.json', { models: { one: own(), two: own(), wrong }, ready: 'any' })
    served = await Served.start(['--config', file])
    for (const name of ['one', 'two']) await until(async () => (await status(`models/${name}/ready`)) === 200)
    expect([await status('models/wrong/ready'), await status('health/ready')]).toEqual([503, 200])
    put('three.json', { models: { one: own('2'), two: own(), wrong }, ready: 'any' })
    await served.line(({ model, version, msg }) => msg === 'loaded' && model === 'one' && version === '2')
    put('three.json', { models: { one: own('2'), two: own(), wrong: { workers: worker.url } }, ready: 'any' })
    const since = performance.now()
    await until(async () => (await status('models/wrong/ready')) === 200)
    expect(performance.now() - since).toBeLessThan(2000)
    expect((await served.infer(json(), {}, 'wrong')).status).toBe(200)
    expect([await served.stop(), await worker.stop()]).toEqual([0, 0])
  })

  it('makes the server unready unless any will do, and its reason is told', async () => {
    const wrong = { workers: `http://127.0.0.1:${await freePort()}` }
    await early(['--config', put('all.json', { models: { one: own(), wrong } })])
    await until(async () => (await status('models/one/ready')) === 200)
    const answer = await fetch(`${served.url}/v2/health/ready`)
    expect([answer.status, (await answer.json()).error]).toEqual([
      503,
      expect.stringMatching(/^the server is not ready: model 'wrong' is not ready: /),
    ])
    expect((await served.infer(json(), {}, 'one')).status).toBe(200)
    put('all.json', { models: { one: own() } })
    await until(async () => (await status('health/ready')) === 200)
    expect(await served.stop()).toBe(0)
  })
})

describe('a model that cannot be loaded', () => {
  it('at the start ends it where it is a file of this machine, whoever else is waited for', async () => {
    const broken = { model: put('broken.onnx', 'half a model'), workers: 1 }
    const later = { workers: `http://127.0.0.1:${await freePort()}` }
    served = new Served(['--config', put('broken.json', { models: { later, broken, one: own() } })])
    const [code] = await once(served.process, 'exit')
    expect([code, served.stderr]).toEqual([1, expect.stringMatching(/^approxifer: MODEL: broken: /)])
  })

  it('later is told, is tried again, and leaves the server ready; what was served is served on', async () => {
    const file = put('later.yaml', `models:\n  one: ${JSON.stringify(own())}\n`)
    served = await Served.start(['--config', file])
    const broken = { ...own('2'), model: put('later.onnx', 'half a model') }
    put('later.yaml', `models:\n  one: ${JSON.stringify(broken)}\n  new: ${JSON.stringify(broken)}\n`)
    await served.line(({ failed }) => String(failed) === 'one,new')
    expect([await status('health/ready'), await status('models/new/ready')]).toEqual([200, 503])
    expect((await served.infer(json(), {}, 'one')).status).toBe(200)
    copyFileSync(LENET, join(folder, 'later.onnx'))
    await served.line(({ model, msg }) => msg === 'loaded' && model === 'new')
    expect((await served.infer(json(), {}, 'new')).status).toBe(200)
    put('later.yaml', `models:\n  one: ${JSON.stringify(own())}\n`)
    await until(async () => (await status('models/new')) === 404)
    expect(await served.stop()).toBe(0)
  })

  it('since a web server says nothing is given up for another description', async () => {
    const silent = createServer().listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const url = `http://127.0.0.1:${(silent.address() as { port: number }).port}/m.onnx`
    const file = put('silent.json', { models: { one: own(), silent: { model: url } } })
    served = new Served(['--config', file])
    await served.line(({ msg, model }) => msg === 'loaded' && model === 'one')
    put('silent.json', { models: { one: own(), silent: own('7') } })
    expect(await served.line(isOf('ready'))).toMatchObject({ models: ['one', 'silent'] })
    expect(await served.stop()).toBe(0)
    silent.close()
  })

  it('from workers that come minutes later: it waits for ever, and takes them when they are there', async () => {
    const port = await freePort()
    // Told after a tenth of a second that none can be reached, again and again.
    const remote = { timeoutMs: 100 }
    served = new Served(['--config', put('minutes.json', { models: { digits: { workers: `http://127.0.0.1:${port}`, remote } } })]) // biome-ignore format: one line
    expect(await served.line(({ level }) => level === 'error')).toMatchObject({ model: 'digits', retryMs: 1000 })
    const args = ['dist/cli.js', 'serve', `digits=${LENET}`, '--workers', '1', '--port', `${port}`]
    const worker = spawn(process.execPath, args)
    served.url = String((await served.line(isOf('ready'))).url)
    expect((await served.infer()).status).toBe(200)
    expect(served.lines.filter(({ level }) => level === 'error').length).toBe(1) // not each time
    expect(await served.stop()).toBe(0)
    worker.kill()
  })
})

describe('a configuration', () => {
  it('as a ConfigMap is swapped: another folder behind a link', async () => {
    const mount = join(folder, 'mounted')
    const version = (name: string, models: object) => {
      mkdirSync(join(mount, name), { recursive: true })
      writeFileSync(join(mount, name, 'serve.yaml'), JSON.stringify({ models }))
      symlinkSync(name, join(mount, '..new'))
      renameSync(join(mount, '..new'), join(mount, '..data'))
    }
    version('..1', { digits: own() })
    symlinkSync(join('..data', 'serve.yaml'), join(mount, 'serve.yaml'))
    const begun = performance.now()
    served = await Served.start(['--config', join(mount, 'serve.yaml')])
    const startMs = performance.now() - begun // as busy as the machine is
    for (const next of ['2', '3']) {
      version(`..${next}`, { digits: own(next) })
      const since = performance.now()
      await served.line(({ msg, version: loaded }) => msg === 'loaded' && loaded === next)
      expect(performance.now() - since).toBeLessThan(1000 + startMs)
    }
    expect(await served.stop()).toBe(0)
  })

  it('that is broken is told with its line, and changes nothing', async () => {
    const file = put('typed.yaml', `models:\n  digits: ${JSON.stringify(own())}\n`)
    served = await Served.start(['--config', file])
    put('typed.yaml', `models:\n  digits: ${JSON.stringify(own('2'))}\n more: 1\n`)
    const line = await served.line(({ level }) => level === 'error')
    expect(line).toMatchObject({ msg: expect.stringMatching(/^reloading failed/), err: { message: expect.stringMatching(/typed\.yaml: line 3: expected YAML or JSON/) } }) // biome-ignore format: one line
    expect((await served.infer()).status).toBe(200)
    put('typed.yaml', `models:\n  digits:\n    model: ${join(process.cwd(), LENET)}\n    version: 3\n`)
    const path = await served.line(({ err }) =>
      String((err as Error)?.message).includes('typed.yaml: models.digits.version: expected a text, got 3'),
    )
    expect(path.level).toBe('error')
    expect((await served.infer()).status).toBe(200)
    expect(await served.stop()).toBe(0)
  })
})

it('a revoked token is dead within a second, under a load that never ends, while a model never loads', async () => {
  const tokens = put('tokens', 'old\nnew\n')
  const never = { workers: `http://127.0.0.1:${await freePort()}` }
  const file = put('load.json', { models: { digits: own(), never }, ready: 'any', tokenFile: tokens })
  served = await Served.start(['--config', file])
  const as = async (token: string) => (await served.infer(json(), { headers: { authorization: `Bearer ${token}` } })).status // biome-ignore format: one line
  let isOver = false
  const statuses: { at: number; status: number }[] = []
  const clients = Array.from({ length: 32 }, async () => {
    while (!isOver) {
      const answer = await as('old')
      statuses.push({ at: performance.now(), status: answer })
    }
  })
  await until(async () => statuses.length > 200)
  expect(statuses.every(({ status: each }) => each === 200)).toBe(true)
  put('tokens', 'new\n')
  const since = performance.now()
  await until(async () => statuses.at(-1)?.status === 401)
  await until(async () => performance.now() - since > 1200)
  isOver = true
  await Promise.all(clients)
  expect(statuses.filter(({ at, status: each }) => at - since > 1000 && each !== 401)).toEqual([])
  expect(await as('new')).toBe(200)
  expect(await served.stop()).toBe(0)
})

const RELOADS = Number(process.env.APPROXIFER_RELOADS ?? 50)

it(`${RELOADS} reloads under traffic: no failed request, and memory as it was`, {
  timeout: 60_000 + RELOADS * 5000,
}, async () => {
  const worker = await Served.start([`digits=${LENET}`, '--workers', '2'])
  const digits = (version: number) => ({ model: 'digits', workers: worker.url, version: `${version}` })
  const write = (version: number) => put('many.json', { models: { digits: digits(version), here: own(`${version}`) } })
  served = await Served.start(['--config', write(0)])
  const agent = new Agent({ keepAlive: true })
  const failures: unknown[] = []
  let answers = 0
  let isOver = false
  const clients = Array.from({ length: 4 }, async (_, i) => {
    while (!isOver) {
      const { status: each, text } = await ask(
        served.port,
        `/v2/models/${i % 2 ? 'here' : 'digits'}/infer`,
        agent,
        json(),
      )
      if (each === 200) answers++
      else failures.push([each, text])
    }
  })
  const resident = async () => (await served.metrics()).get('process_resident_memory_bytes') ?? 0
  const memory: number[] = []
  for (let version = 1; version <= RELOADS; version++) {
    write(version)
    await until(async () => {
      const loaded = served.lines.filter(({ msg, version: each }) => msg === 'loaded' && each === `${version}`)
      return loaded.length === 2
    })
    served.lines.length = 0
    if (version % Math.ceil(RELOADS / 10) === 0) memory.push(Math.round((await resident()) / 2 ** 20))
  }
  isOver = true
  await Promise.all(clients)
  console.log(`${RELOADS} reloads, ${answers} answers, resident MiB ${memory.join(' ')}`)
  expect(failures).toEqual([])
  expect(answers).toBeGreaterThan(RELOADS)
  expect(Math.min(...memory.slice(-3)) / memory[1]).toBeLessThan(1.5)
  expect([await served.stop(), await worker.stop()]).toEqual([0, 0])
})

it.skipIf(NO_PROC)(
  `a model that loads for minutes on threads of the server’s own is given up for another: they end, and that is there within two seconds${NO_PROC}`,
  async () => {
    const [name, shape] = ['x', ['n', 2500, 2500]]
    const nodes = Array.from({ length: 50 }, (_, i) => ({ op: 'MatMul', inputs: [i ? `y${i}` : name, name], outputs: [`y${i + 1}`] })) // biome-ignore format: one line
    const slow = put('slow.onnx', '')
    writeFileSync(slow, onnx([{ name, shape }], [{ name: 'y50', shape }], nodes))
    const file = put('slow.json', { models: { one: own(), two: { model: slow, workers: 1 } }, ready: 'any' })
    await early(['--config', file])
    await until(async () => (await status('models/one/ready')) === 200)
    const threads = () => readdirSync(`/proc/${served.process.pid}/task`).length
    const before = threads()
    const since = performance.now()
    put('slow.json', { models: { one: own(), two: own('2') }, ready: 'any' })
    await until(async () => served.lines.some(({ msg, model }) => msg === 'loaded' && model === 'two'))
    expect(performance.now() - since).toBeLessThan(2000)
    expect(before - threads()).toBeGreaterThanOrEqual(0) // one for one
    const told = served.lines.filter(({ level }) => level === 'error')
    expect(told).toEqual([])
    expect(await served.stop()).toBe(0)
  },
)
