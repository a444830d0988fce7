import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer as createWebServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checksum } from '../../src/base/checksum'
import { scratch } from '../shared/cli'
import { freePort } from '../shared/nats-server'
import { json, LENET, Served } from '../shared/served-process'

const { folder } = scratch()

describe('SIGHUP', () => {
  it('loads what is described anew, ends what is gone, and keeps what is not', async () => {
    const path = join(folder, 'models.json')
    const write = (models: object) => writeFileSync(path, JSON.stringify({ models }))
    const own = (version: string) => ({ model: join(process.cwd(), LENET), workers: 1, version })
    write({ kept: own('1'), changed: own('1'), gone: own('1') })
    const served = await Served.start(['--config', path])
    write({ kept: own('1'), changed: own('2'), come: own('1') })
    served.process.kill('SIGHUP')
    const line = await served.line(({ msg }) => msg === 'reloaded')
    expect(line).toMatchObject({ loaded: ['changed', 'come'], unloaded: ['gone'] })
    const versions = async (name: string) => (await (await fetch(`${served.url}/v2/models/${name}`)).json()).versions
    expect([await versions('kept'), await versions('changed'), await versions('come')]).toEqual([['1'], ['2'], ['1']])
    expect((await served.infer(json(), {}, 'gone')).status).toBe(404)
    const broken = { ...own('1'), model: join(folder, 'not-there-yet.onnx') }
    write({ kept: own('1'), changed: { ...broken, version: '3' }, broken })
    served.process.kill('SIGHUP')
    await served.line(({ failed }) => String(failed) === 'changed,broken')
    expect((await fetch(`${served.url}/v2/health/ready`)).status).toBe(200)
    expect([await versions('changed'), (await served.infer(json(), {}, 'broken')).status]).toEqual([['2'], 503])
    copyFileSync(LENET, join(folder, 'not-there-yet.onnx'))
    served.process.kill('SIGHUP') // or a moment later without it
    for (const [model, version] of [['changed', '3'], ['broken', '1']]) await served.line((line) => line.msg === 'loaded' && line.model === model && line.version === version) // biome-ignore format: one line
    expect([await versions('changed'), await versions('broken')]).toEqual([['3'], ['1']])
    writeFileSync(path, '{')
    await served.line(({ msg }) => String(msg).startsWith('reloading failed'))
    expect((await served.infer(json(), {}, 'kept')).status).toBe(200)
    expect(await served.stop()).toBe(0)
  })
})

describe('SIGHUP, where names stay and what is in the files changes', () => {
  const put = (name: string, content: Uint8Array | string) => {
    writeFileSync(join(folder, name), content)
    return join(folder, name)
  }
  const reloaded = async (served: Served) => {
    const before = served.lines.length
    served.process.kill('SIGHUP')
    return served.line((line) => served.lines.indexOf(line) >= before && /^reload/.test(String(line.msg)))
  }

  it('a model is loaded anew, another is kept', async () => {
    const model = put('model.onnx', readFileSync(LENET))
    const served = await Served.start([`digits=${model}`, `kept=${LENET}`, '--workers', '1'])
    const answer = async () => (await (await served.infer()).json()).outputs[0].data
    const before = await answer()
    expect(await reloaded(served)).toMatchObject({ loaded: [], unloaded: [] })
    put('model.onnx', readFileSync('models/fashion-lenet.onnx'))
    expect(await reloaded(served)).toMatchObject({ loaded: ['digits'], unloaded: [] })
    expect(await answer()).not.toEqual(before)
    put('model.onnx', 'half a model')
    expect(await reloaded(served)).toMatchObject({ loaded: [], failed: ['digits'] })
    expect(await answer()).not.toEqual(before)
    put('model.onnx', readFileSync(LENET))
    expect(await reloaded(served)).toMatchObject({ loaded: ['digits'] })
    expect(await answer()).toEqual(before)
    expect(await served.stop()).toBe(0)
  })

  it.each([
    ['that tags what it gives', true],
    ['that does not', false],
  ])('a model of a web server %s is loaded anew when its bytes are others', async (_, tags) => {
    let bytes = readFileSync(LENET)
    let asked = 0
    const server = createWebServer((_, response) => {
      asked++
      if (!bytes.length) response.statusCode = 503
      if (tags) response.setHeader('etag', `"${bytes.length ? checksum(bytes) : ''}"`)
      response.end(bytes)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model`
    const served = await Served.start([`digits=${url}`, '--workers', '1'])
    const answer = async () => (await (await served.infer()).json()).outputs[0].data
    const before = await answer()
    asked = 0
    expect(await reloaded(served)).toMatchObject({ loaded: [] })
    expect(asked).toBe(1)
    bytes = Buffer.alloc(0)
    const sentence = `digits: the model '${url}' cannot be read: ${url} answered 503`
    expect(await reloaded(served)).toMatchObject({ loaded: [], failed: ['digits'] })
    expect(await served.line(({ level }) => level === 'error')).toMatchObject({
      model: 'digits',
      err: { message: sentence },
    })
    expect(await answer()).toEqual(before)
    bytes = readFileSync('models/fashion-lenet.onnx')
    expect(await reloaded(served)).toMatchObject({ loaded: ['digits'] })
    expect(await answer()).not.toEqual(before)
    expect(await served.stop()).toBe(0)
    server.close()
  })

  it('tokens are replaced; a file without any changes nothing', async () => {
    const file = put('tokens', 'old\n')
    const served = await Served.start([`digits=${LENET}`, '--workers', '1', '--token-file', file])
    const as = async (token: string) => (await served.infer(json(), { headers: { authorization: `Bearer ${token}` } })).status // biome-ignore format: one line
    expect([await as('old'), await as('new')]).toEqual([200, 401])
    put('tokens', 'old\nnew\n')
    expect((await reloaded(served)).msg).toBe('reloaded')
    expect([await as('old'), await as('new')]).toEqual([200, 200])
    put('tokens', 'new\n')
    expect((await reloaded(served)).msg).toBe('reloaded')
    expect([await as('old'), await as('new')]).toEqual([401, 200])
    put('tokens', '\n')
    const line = await served.line(({ level }) => level === 'error')
    expect(line).toMatchObject({ err: { message: expect.stringContaining('expected a token') } })
    expect([await as('old'), await as('new')]).toEqual([401, 200])
    expect(await served.stop()).toBe(0)
  })

  it('a stream of events whose token is revoked ends, one whose token stays goes on', async () => {
    const file = put('tokens', 'old\nnew\n')
    const served = await Served.start([`digits=${LENET}`, '--workers', '1', '--token-file', file])
    const stream = async (token: string) => {
      const { body } = await fetch(`${served.url}/events`, { headers: { authorization: `Bearer ${token}` } })
      return (body as ReadableStream<Uint8Array>).getReader()
    }
    const [revoked, kept] = [await stream('old'), await stream('new')]
    for (const reader of [revoked, kept]) expect((await reader.read()).done).toBe(false) // what it begins with
    put('tokens', 'new\n')
    expect((await reloaded(served)).msg).toBe('reloaded')
    await served.infer(json(), { headers: { authorization: 'Bearer new' } })
    expect((await revoked.read()).done).toBe(true)
    expect(new TextDecoder().decode((await kept.read()).value)).toMatch(/^event: batch/)
    expect(await served.stop()).toBe(0)
  })

  it('a token for workers elsewhere', async () => {
    const worker = await Served.start([
      `digits=${LENET}`,
      '--workers',
      '1',
      '--token-file',
      put('worker-tokens', 'old'),
    ])
    put('their-token', 'old')
    const digits = { workers: worker.url, remote: { tokenFile: 'their-token' } }
    const gateway = await Served.start(['--config', put('gateway.json', JSON.stringify({ models: { digits } }))])
    put('worker-tokens', 'new')
    await worker.line(({ msg }) => msg === 'tokens were read again')
    expect((await gateway.infer()).status).toBe(503)
    put('their-token', 'new')
    expect(await gateway.line(({ msg }) => msg === 'reloaded')).toMatchObject({ loaded: ['digits'] })
    expect((await gateway.infer()).status).toBe(200)
    for (const each of [gateway, worker]) expect(await each.stop()).toBe(0)
  })

  it('while a model waits for its workers: tokens and other models come all the same', async () => {
    const port = await freePort()
    const tokens = put('tokens', 'old\n')
    const own = { model: join(process.cwd(), LENET), workers: 1 }
    const slow = { workers: `http://127.0.0.1:${port}`, remote: { tokenFile: put('slow-token', 'theirs') } }
    const file = put('loading.json', JSON.stringify({ models: { digits: own, slow }, tokenFile: tokens }))
    const served = new Served(['--config', file])
    served.url = String((await served.line(({ msg }) => String(msg).startsWith('waits for workers'))).url)
    const as = async (token: string) => (await served.infer(json(), { headers: { authorization: `Bearer ${token}` } })).status // biome-ignore format: one line
    expect([await as('old'), await as('new')]).toEqual([200, 401])
    put('tokens', 'new\n')
    put('loading.json', JSON.stringify({ models: { digits: own, slow, more: own }, tokenFile: tokens }))
    served.process.kill('SIGHUP')
    await served.line(({ msg }) => msg === 'tokens were read again')
    expect([await as('old'), await as('new')]).toEqual([401, 200])
    expect(await served.line(({ msg }) => msg === 'reloaded')).toMatchObject({ loaded: ['more'], unloaded: [] })
    const worker = spawn(process.execPath, ['dist/cli.js', 'serve', `slow=${LENET}`, '--workers', '1', '--port', `${port}`], { env: { ...process.env, APPROXIFER_TOKEN: 'theirs' } }) // biome-ignore format: one line
    await served.line(({ msg }) => msg === 'ready')
    expect(await served.stop()).toBe(0)
    worker.kill()
  })

  it.each([
    ['it looks whether a model has changed', 1],
    ['it loads the model anew', 2], // when it has looked
  ])('SIGTERM while %s is no failure of that', async (_, request) => {
    const give = (response: ServerResponse) => response.end(readFileSync('models/fashion-lenet.onnx'))
    let answer: (response: ServerResponse) => void = (response) => response.end(readFileSync(LENET))
    const server = createWebServer((_, response) => answer(response)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model`
    const served = await Served.start([`digits=${url}`, '--workers', '1'])
    let requests = 0
    const asked = new Promise<ServerResponse>((resolve) => {
      answer = (response) => (++requests === request ? resolve(response) : give(response))
    })
    served.process.kill('SIGHUP')
    const response = await asked
    const stopped = served.stop()
    await served.line(({ msg }) => /^closing/.test(String(msg)))
    give(response)
    expect(await stopped).toBe(0)
    expect(served.lines.filter(({ level }) => level === 'error')).toEqual([])
    server.close()
  })

  it('of other settings it says that they need a restart', async () => {
    const models = { digits: { model: join(process.cwd(), LENET), workers: 1 } }
    const file = put('settings.json', JSON.stringify({ models, grace: 1 }))
    const served = await Served.start(['--config', file])
    put('settings.json', JSON.stringify({ models, grace: 2, maxBodies: 100 }))
    expect(await reloaded(served)).toMatchObject({ loaded: [] })
    const said = await served.line(({ settings }) => settings !== undefined)
    expect(said).toMatchObject({ level: 'warn', settings: ['maxBodies', 'grace'] })
    expect(await served.stop()).toBe(0)
  })
})
