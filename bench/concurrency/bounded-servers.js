/**
 * node bench/concurrency/bounded-servers.js COUNT SLOTS PLACES MS STATUS [RETRY_AFTER]: servers of the Open Inference Protocol that run as many inferences at once
 * as they have slots, of so many milliseconds on average, have so many places for those that run or wait, and refuse all others with this status. They
 * say that they are ready meanwhile. POST /busy/MS: every server refuses everything for so long. GET /counts: what all were asked. Prints the URLs.
 */

import { createServer } from 'node:http'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'

const [count, slots, places, ms, status] = process.argv.slice(2, 7).map(Number)
const retryAfter = process.argv[7]

const tensor = (name) => ({ name, datatype: 'FP32', shape: [1, 4] })
const told = {
  '/v2': { name: 'bounded', version: '1', extensions: [] },
  '/v2/models/m/ready': { ready: true },
  '/v2/models/m': { name: 'm', versions: ['1'], platform: 'bounded', inputs: [tensor('x')], outputs: [tensor('y')] },
}

const counts = { answered: 0, refused: 0, probes: 0 }
let busyUntil = 0

async function bodyOf(request) {
  const parts = []
  for await (const part of request) parts.push(part)
  return Buffer.concat(parts).toString()
}

function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // raw bytes, which are not known here
  }
}

function bounded() {
  let open = 0
  const waiting = []
  return createServer(async (request, response) => {
    const send = (code, json, headers = {}) =>
      response.writeHead(code, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(json))
    const { url = '', method, headers } = request
    if (url === '/counts') return send(200, counts)
    if (url.startsWith('/busy/')) {
      busyUntil = performance.now() + Number(url.slice('/busy/'.length))
      return send(200, {})
    }
    const isProbe = method === 'GET' || headers['approxifer-probe'] !== undefined
    if (isProbe) counts.probes++
    if (told[url]) return send(200, told[url])
    const body = parsed(await bodyOf(request))
    if (!body) return send(400, { error: 'no JSON' })
    if (open >= places || performance.now() < busyUntil) {
      counts.refused++
      return send(status, { error: 'the queue is full' }, retryAfter ? { 'retry-after': retryAfter } : {})
    }
    const { id, inputs } = body
    if (open++ >= slots) await new Promise((resolve) => waiting.push(resolve))
    await sleep(ms * (0.5 + Math.random()))
    open--
    waiting.shift()?.()
    if (!isProbe) counts.answered++
    const data = inputs[0].data.flat().map((value) => 2 * value)
    send(200, { model_name: 'm', model_version: '1', id, outputs: [{ ...tensor('y'), shape: inputs[0].shape, data }] })
  })
}

const servers = await Promise.all(
  Array.from({ length: count }, () => {
    const server = bounded()
    server.keepAliveTimeout = 60_000
    return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
  }),
)
console.log(JSON.stringify({ urls: servers.map((server) => `http://127.0.0.1:${server.address().port}`) }))
