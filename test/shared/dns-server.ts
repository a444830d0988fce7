/** A DNS server over UDP that knows one name (RFC 1035): its A records are what the test says. */

import { createSocket } from 'node:dgram'
import type { AddressInfo } from 'node:net'

const [A, AAAA] = [1, 28]
const NOT_FOUND = 3
const FAILED = 2

export class DnsServer {
  /** IPv4 and IPv6 addresses. */
  records: string[] = []
  mode: 'answers' | 'fails' | 'knows nothing' | 'keeps silent' = 'answers'
  queries = 0
  readonly #socket = createSocket('udp4')

  constructor(readonly name: string) {
    this.#socket.on('message', (query, { port, address }) => {
      this.queries++
      const reply = this.#reply(query)
      if (reply) this.#socket.send(reply, port, address)
    })
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#socket.bind(0, '127.0.0.1', resolve))
    return this
  }

  get address(): string {
    return `127.0.0.1:${(this.#socket.address() as AddressInfo).port}`
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(resolve))
  }

  #reply(query: Buffer): Buffer | undefined {
    if (this.mode === 'keeps silent') return undefined
    const { name, type, end } = question(query)
    const isKnown = name === this.name && this.mode !== 'knows nothing'
    const found = this.mode === 'answers' && isKnown ? this.records.filter((record) => record.includes(':') === (type === AAAA)) : [] // biome-ignore format: one line
    const answers = type === A || type === AAAA ? found : []
    const header = Buffer.alloc(12)
    query.copy(header, 0, 0, 2)
    header.writeUInt16BE(0x8180 | (this.mode === 'fails' ? FAILED : isKnown ? 0 : NOT_FOUND), 2)
    header.writeUInt16BE(1, 4)
    header.writeUInt16BE(answers.length, 6)
    return Buffer.concat([header, query.subarray(12, end), ...answers.map((record) => answer(record, type))])
  }
}

function question(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = []
  let at = 12
  for (let length = query[at]; length; length = query[at]) {
    labels.push(query.subarray(at + 1, at + 1 + length).toString('latin1'))
    at += 1 + length
  }
  return { name: labels.join('.'), type: query.readUInt16BE(at + 1), end: at + 5 }
}

/** A resource record: the name is a pointer to the question's, it may be kept for 0 seconds. */
function answer(record: string, type: number): Buffer {
  const data = type === A ? Buffer.from(record.split('.').map(Number)) : ipv6(record)
  const head = Buffer.alloc(12)
  head.writeUInt16BE(0xc00c, 0)
  head.writeUInt16BE(type, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(data.length, 10)
  return Buffer.concat([head, data])
}

/** Only with one `::`. */
function ipv6(record: string): Buffer {
  const [left, right] = record.split('::').map((half) => (half ? half.split(':') : []))
  const groups = [...left, ...new Array(8 - left.length - right.length).fill('0'), ...right]
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex')
}
