import { afterEach, expect, inject, it } from 'vitest'

const { gateway, named, closed } = inject('http')
const policies = inject('policies')

interface Report {
  id: number
  value?: unknown
  error?: string
  violations: string[]
  isIsolated: boolean
}

let frame: HTMLIFrameElement | undefined
afterEach(() => frame?.remove())

/** Opens policy-page.js under a policy of policies.ts. @returns a function that asks it for one of its parts */
async function open(policy: string): Promise<(part: string, ...args: unknown[]) => Promise<Report>> {
  const shown = document.createElement('iframe')
  frame = shown
  const next = (isIt: (data: Report & 'ready') => boolean) =>
    new Promise<Report>((resolve) => {
      const listen = ({ source, data }: MessageEvent) => {
        if (source !== shown.contentWindow || !isIt(data)) return
        removeEventListener('message', listen)
        resolve(data)
      }
      addEventListener('message', listen)
    })
  const ready = next((data) => data === 'ready')
  shown.src = `${policies}/${policy}/`
  document.body.append(shown)
  await ready
  let last = 0
  return (part, ...args) => {
    const id = ++last
    const reply = next((data) => data.id === id)
    shown.contentWindow?.postMessage({ id, part, args }, '*')
    return reply
  }
}

const SERVERS = [gateway, named]
const WITHOUT_WASM = "the Content-Security-Policy forbids WebAssembly: script-src must list 'wasm-unsafe-eval'"

it('under a strict policy 1,000 of 1,000 queries are answered by servers of other origins; threads and WASM work, without isolation', async () => {
  const ask = await open('strict')
  const remote = await ask('predict', 1000, { servers: SERVERS, policy: 'auto' })
  expect(remote.value).toEqual({ answers: 1000, core: 'wasm', warnings: [] })
  const local = await ask('predict', 10, { policy: 'auto' })
  expect(local).toMatchObject({ value: { answers: 10, core: 'wasm' }, violations: [], isIsolated: false })
})

it('under trusted types workers need createWorker with a policy of the page, and an error says so', async () => {
  const ask = await open('typed')
  const todo = 'the page requires trusted types: pass onnx.createWorker: () => new Worker(policy.createScriptURL('
  const untyped = await ask('predict', 1, {})
  expect(untyped.error).toContain(`WORKER: worker 0 could not start: ${todo}`)
  const inline = await ask('predict', 10, { servers: SERVERS, policy: 'auto' })
  const warning = expect.stringContaining(`the thread of the memory could not be asked: ${todo}`)
  expect(inline.value).toEqual({ answers: 10, core: 'wasm', warnings: [warning] })
  expect((await ask('predict', 1, { isTrusted: true, policy: 'auto' })).value).toMatchObject({ answers: 1 })
  const typed = await ask('predict', 10, { isTrusted: true, servers: SERVERS, policy: 'auto' })
  expect(typed.value).toEqual({ answers: 10, core: 'wasm', warnings: [] })
})

it("without 'wasm-unsafe-eval' coding runs in JavaScript with a warning, and a model's error says what is missing", async () => {
  const ask = await open('uncompiled')
  expect((await ask('codec')).value).toEqual(['js', `RangeError: ${WITHOUT_WASM}`])
  const remote = await ask('predict', 10, { servers: SERVERS, policy: 'auto' })
  const warning = `coding and the memory run in JavaScript, which is slower: RangeError: ${WITHOUT_WASM}`
  expect(remote.value).toEqual({ answers: 10, core: 'js', warnings: [warning] })
  expect((await ask('predict', 1, {})).error).toBe(`MODEL: ${WITHOUT_WASM}`)
})

it('a worker has the policy of its script, not that of the page', async () => {
  const ask = await open('strict')
  const folder = '../uncompiled'
  expect((await ask('predict', 1, { folder })).error).toBe(`MODEL: ${WITHOUT_WASM}`)
  const { value } = await ask('predict', 10, { isWarned: true, folder, servers: SERVERS, policy: 'auto' })
  const warning = `the thread of the memory runs in JavaScript, which is slower: RangeError: ${WITHOUT_WASM}`
  expect(value).toEqual({ answers: 10, core: 'wasm', warnings: [warning] })
})

it('without worker-src the memory is in the page, with a warning, and an error of workers says what forbids them', async () => {
  const ask = await open('threadless')
  const why = "could not load its script: the page's Content-Security-Policy forbids it (worker-src, or script-src)"
  const remote = await ask('predict', 10, { isWarned: true, servers: SERVERS, policy: 'auto' })
  const warning = `the thread of the memory ${why}: it begins anew in this one`
  expect(remote.value).toEqual({ answers: 10, core: 'wasm', warnings: [warning] })
  expect((await ask('predict', 1, {})).error).toBe(`WORKER: worker 0 ${why}`)
})

it('what connect-src must list is said of a server and of a model', async () => {
  const ask = await open('offline')
  const why = (source: string) => `the Content-Security-Policy forbids it: connect-src must list ${source}`
  const remote = await ask('predict', 1, { servers: SERVERS, timeoutMs: 1000 })
  expect(remote.error).toContain(`${new URL(gateway).host} cannot be reached: ${why(gateway)}`)
  expect((await ask('predict', 1, {})).error).toContain(`cannot be read: ${why("'self'")}`)
  const other = await ask('predict', 1, { model: `${closed}/model.onnx` })
  expect(other.error).toBe(`MODEL: the model '${closed}/model.onnx' cannot be read: ${why(closed)}`)
})
