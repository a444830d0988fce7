/** A real server that takes a call and never answers it. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createPredictor } from 'approxifer'
import { expect, it } from 'vitest'
import { httpWorkers } from '../../../src/workers/http/fleet'

const tensor = (name: string) => ({ name, datatype: 'FP32', shape: [-1, 2] })

it('a call that is never answered, and has no deadline, is given up after hangMs, and its connection is closed', async () => {
  let isHanging = false
  let closed = () => {}
  const isClosed = new Promise<void>((resolve) => (closed = resolve))
  const server = createServer(async (request, response) => {
    const { method, url = '' } = request
    if (method === 'GET') {
      const reply = url.endsWith('/m') ? { name: 'm', inputs: [tensor('x')], outputs: [tensor('y')] } : {}
      return void response.end(JSON.stringify(reply))
    }
    if (isHanging) return void request.socket.on('close', closed)
    let body = ''
    for await (const text of request) body += text
    const [{ shape, data }] = JSON.parse(body).inputs
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ outputs: [{ name: 'y', datatype: 'FP32', shape, data }] }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const workers = httpWorkers([`http://127.0.0.1:${port}`], { model: 'm', onWarning() {} })
  const predictor = await createPredictor({ workers, hangMs: 200, onWarning() {} })
  isHanging = true
  const asked = predictor.predict(Float32Array.of(1, 2), { deadlineMs: 2 ** 31 - 1 })
  await expect(asked).rejects.toThrow(/hung for 200 ms/)
  await isClosed
  await predictor.close()
  server.closeAllConnections()
  server.close()
}, 20_000)
