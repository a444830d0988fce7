import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { WHAT } from '../../fixtures/behaviour.js'
import { fixture } from '../../shared/threads'
import { PATIENCE_MS } from '../../shared/waiting'

/** What a machine that is busy with much else is told of a worker that it takes seconds to start. */
const SLOW_MACHINE = /^a worker has been silent for \d+ ms.*\n/

const lenet = fileURLToPath(new URL('../../../models/mnist-lenet.onnx', import.meta.url))

it.each([
  ['while it ran', 'setTimeout(() => abort.abort(), 50)', ''],
  ['before it came', '', 'abort.abort()'],
])('a call that was aborted %s no longer keeps the process alive', (_, later, before) => {
  const script = `
    import { Worker } from 'node:worker_threads'
    import { localWorkers } from 'approxifer'
    const createWorker = () => new Worker(new URL(process.argv[1]), { execArgv: [] })
    const [worker] = await localWorkers({ model: Uint8Array.of(1), workers: 1, createWorker })
    const abort = new AbortController()
    ${before}
    worker.infer([{ data: Float32Array.of(${WHAT.hangs}, 0), shape: [2] }], { signal: abort.signal }).catch(({ code }) => console.log(code))
    ${later}`
  const options = { encoding: 'utf8', timeout: PATIENCE_MS } as const
  const args = ['--input-type=module', '-e', script, '--', fixture.href]
  const { status, stdout } = spawnSync(process.execPath, args, options)
  expect([status, stdout.trim()]).toEqual([0, 'ABORTED'])
})

describe('6. nothing keeps the process alive', () => {
  const script = (after: string) => `
    import { localWorkers } from 'approxifer'
    const [worker] = await localWorkers({ model: ${JSON.stringify(lenet)}, workers: 1 })
    const query = [{ data: new Float32Array(784), shape: [1, 28, 28] }]
    await worker.infer(query)
    ${after}
    console.log('end of script')`

  it.each([
    ['after close', 'await worker.close()'],
    ['without close', ''],
    [
      'after an aborted call',
      'const c = new AbortController(); const p = worker.infer(query, { signal: c.signal }); c.abort(); await p.catch(() => {})',
    ],
    ['while a dead worker waits for its restart', "worker.restart('was killed')"],
  ])('%s', (_, after) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script(after)], {
      cwd: fileURLToPath(new URL('../../..', import.meta.url)),
      timeout: PATIENCE_MS,
      encoding: 'utf8',
    })
    const told = stderr.replace(SLOW_MACHINE, '')
    expect([status, stdout.trim(), told]).toEqual([0, 'end of script', ''])
  })
})
