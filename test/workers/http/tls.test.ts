/** Servers behind TLS: `tls.ca` and `tls.servername` hold for undici and for Bun's fetch. */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { createPredictor } from 'approxifer'
import { type HttpOptions, httpWorkers } from 'approxifer/http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findOpenssl } from '../../../scripts/programs.js'

const openssl = findOpenssl() as string
const NAME = 'models.test'
const tensor = (name: string) => ({ name, datatype: 'FP32', shape: [-1, 2] })
const METADATA = { name: 'm', platform: '', inputs: [tensor('x')], outputs: [tensor('y')] }

describe.skipIf(!openssl)('a server whose certificate is its own', () => {
  const folder = mkdtempSync(join(tmpdir(), 'approxifer-tls-'))
  const file = (name: string) => join(folder, name)
  let server: ReturnType<typeof createServer>
  let ca: string
  beforeAll(async () => {
    const kind = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
    const subject = ['-subj', `/CN=${NAME}`, '-addext', `subjectAltName=DNS:${NAME}`]
    execFileSync(openssl, [...kind, ...subject, '-keyout', file('key.pem'), '-out', file('ca.pem')], {
      stdio: 'ignore',
    })
    ca = readFileSync(file('ca.pem'), 'utf8')
    server = createServer({ cert: ca, key: readFileSync(file('key.pem')) }, async (request, response) => {
      const reply = (value: object) => response.setHeader('content-type', 'application/json').end(JSON.stringify(value))
      if (request.method === 'GET') return reply(METADATA)
      const { inputs } = (await json(request)) as { inputs: { shape: number[]; data: number[] }[] }
      const [{ shape, data }] = inputs
      reply({ model_name: 'm', outputs: [{ ...tensor('y'), shape, data: data.map((value) => 2 * value) }] })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
    rmSync(folder, { recursive: true })
  })

  async function answer(tls: HttpOptions['tls']): Promise<number[]> {
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
    const options = { model: 'm', binary: false, timeoutMs: 1000, onWarning() {}, ...(tls && { tls }) }
    await using predictor = await createPredictor({ workers: httpWorkers([url], options), onWarning() {} })
    return [...(await predictor.predict(Float32Array.of(1, 2))).output.y.data]
  }

  it('answers where `ca` is its certificate and `servername` its name', async () => {
    expect(await answer({ ca, servername: NAME })).toEqual([2, 4])
  })

  it('is refused under another name, and where its certificate is unknown', async () => {
    for (const tls of [{ ca, servername: 'other.test' }, undefined]) {
      await expect(answer(tls)).rejects.toThrow(/cannot be reached: .*certificate|CERT_ALTNAME/)
    }
  })
})
