/** Recorded exchanges (test/oip): bytes of connections as messages, requests beside their replies. */

import { readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'

export interface RecordedMessage {
  /** The first line. */
  start: string
  headers: Record<string, string>
  body: Buffer
  /** All of it, as it was sent. */
  bytes: Buffer
}

export interface Exchange {
  /** File and place in it. */
  name: string
  request: RecordedMessage
  reply: RecordedMessage
}

/** All exchanges in a folder, in their order. */
export function exchanges(folder: string): Exchange[] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.request'))
  return files.sort().flatMap((file) => {
    const requests = messages(readFileSync(`${folder}/${file}`))
    const replies = messages(readFileSync(`${folder}/${file.replace('.request', '.response')}`))
    if (requests.length !== replies.length) throw new Error(`${file}: ${requests.length} requests, ${replies.length} replies`) // biome-ignore format: one line
    return requests.map((request, i) => ({ name: `${file.slice(0, 3)}.${i}`, request, reply: replies[i] }))
  })
}

export function messages(bytes: Buffer): RecordedMessage[] {
  const all: RecordedMessage[] = []
  for (let rest = bytes; rest.length; rest = rest.subarray(all[all.length - 1].bytes.length)) all.push(message(rest))
  return all
}

function message(bytes: Buffer): RecordedMessage {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) throw new Error(`no message: ${bytes.subarray(0, 100)}`)
  const [start, ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n')
  const headers = Object.fromEntries(
    lines.map((line) => [line.split(':')[0].toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )
  const from = end + 4
  if (headers['transfer-encoding'] === 'chunked') {
    const { body, length } = unchunked(bytes.subarray(from))
    return { start, headers, body, bytes: bytes.subarray(0, from + length) }
  }
  const to = from + Number(headers['content-length'] ?? 0)
  if (to > bytes.length) throw new Error(`a message of ${to} bytes, of which ${bytes.length} are there`)
  return { start, headers, body: bytes.subarray(from, to), bytes: bytes.subarray(0, to) }
}

function unchunked(bytes: Buffer): { body: Buffer; length: number } {
  const chunks: Buffer[] = []
  for (let at = 0; ; ) {
    const line = bytes.indexOf('\r\n', at)
    if (line < 0) throw new Error('a chunk without an end')
    const size = Number.parseInt(bytes.subarray(at, line).toString('latin1'), 16)
    at = line + 2
    chunks.push(bytes.subarray(at, at + size))
    at += size + 2
    if (!size) return { body: Buffer.concat(chunks), length: at }
  }
}

/** What a server at this port answers to these very bytes. */
export function replay(port: number, bytes: Uint8Array): Promise<RecordedMessage> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    const chunks: Buffer[] = []
    socket.on('error', reject)
    socket.on('end', () => reject(new Error(`half a reply: ${Buffer.concat(chunks)}`)))
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      try {
        const [reply] = messages(Buffer.concat(chunks))
        socket.removeAllListeners('end')
        socket.destroy()
        resolve(reply)
      } catch {} // not all of it yet
    })
  })
}
