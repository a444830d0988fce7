/** HTTP as it went over the wire: bytes of a connection as messages, and messages as bytes. */

import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib'

export interface HttpMessage {
  /** The first line. */
  start: string
  headers: Record<string, string>
  /** As it was sent, but for chunks. */
  body: Buffer
}

export const packed: Record<string, (bytes: Uint8Array) => Buffer> = { gzip: gzipSync, deflate: deflateSync }
const unpacked: Record<string, (bytes: Uint8Array) => Buffer> = { gzip: gunzipSync, deflate: inflateSync }

export const recorded = (path: string) => messages(readFileSync(`test/oip/${path}`))

/** @returns what is complete */
export function messages(bytes: Buffer): HttpMessage[] {
  const all: HttpMessage[] = []
  let at = 0
  while (true) {
    const end = bytes.indexOf('\r\n\r\n', at)
    if (end < 0) return all
    const [start, ...lines] = bytes.toString('latin1', at, end).split('\r\n')
    const headers = Object.fromEntries(
      lines.map((line) => [line.split(':')[0].toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    )
    const body = headers['transfer-encoding']
      ? chunks(bytes, end + 4)
      : whole(bytes, end + 4, headers['content-length'])
    if (!body) return all
    all.push({ start, headers, body: body.body })
    at = body.to
  }
}

function whole(bytes: Buffer, from: number, length = '0') {
  const to = from + Number(length)
  return to <= bytes.length ? { body: bytes.subarray(from, to), to } : undefined
}

function chunks(bytes: Buffer, from: number) {
  const parts: Buffer[] = []
  let at = from
  while (true) {
    const line = bytes.indexOf('\r\n', at)
    if (line < 0) return undefined
    const length = Number.parseInt(bytes.toString('latin1', at, line), 16)
    at = line + 2 + length + 2
    if (at > bytes.length) return undefined
    if (!length) return { body: Buffer.concat(parts), to: at }
    parts.push(bytes.subarray(line + 2, line + 2 + length))
  }
}

/** A message's JSON and what follows it, unpacked. */
export function content({ headers, body }: HttpMessage): { json: any; binary: Buffer } {
  const bytes = unpacked[headers['content-encoding']]?.(body) ?? body
  const length = Number(headers['inference-header-content-length'] ?? bytes.length)
  const text = bytes.toString('utf8', 0, length)
  return { json: text ? JSON.parse(text) : undefined, binary: bytes.subarray(length) }
}

/** The message with another JSON in front of the same tensors. */
export function withJson(message: HttpMessage, json: unknown): HttpMessage {
  const text = Buffer.from(JSON.stringify(json))
  const { binary } = content(message)
  const bytes = Buffer.concat([text, binary])
  const body = packed[message.headers['content-encoding']]?.(bytes) ?? bytes
  const headers: Record<string, string> = { ...message.headers, 'content-length': String(body.length) }
  if (binary.length) headers['inference-header-content-length'] = String(text.length)
  return { ...message, body, headers }
}

export function bytesOf({ start, headers, body }: HttpMessage): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.concat([Buffer.from(`${start}\r\n${lines.join('')}\r\n`), body])
}

/** Sends requests over one connection, each when the one before is answered, and gives the replies. */
export function exchange(port: number, requests: readonly HttpMessage[]): Promise<HttpMessage[]> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    const replies: HttpMessage[] = []
    let received = Buffer.alloc(0)
    const next = () => {
      if (replies.length < requests.length) return socket.write(bytesOf(requests[replies.length]))
      socket.end()
      resolve(replies)
    }
    socket.on('connect', next)
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`closed after ${replies.length} of ${requests.length} replies`)))
    socket.on('data', (bytes: Buffer) => {
      received = Buffer.concat([received, bytes])
      const [reply] = messages(received)
      if (!reply) return
      replies.push(reply)
      received = Buffer.alloc(0)
      next()
    })
  })
}
