/** More connections than there is room for. */

import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { expect, it } from 'vitest'
import { addressOf, type Connected, OpenConnections } from '../../src/cli/serve/connections'

class PretendSocket extends EventEmitter {
  destroyed = false

  constructor(readonly remoteAddress: string) {
    super()
  }

  destroy(): void {
    this.destroyed = true
    this.emit('close')
  }
}

/** Ten connections at most, in time made by hand. */
function house() {
  const clock = { ms: 0 }
  const connections = new OpenConnections(10, () => clock.ms)
  const open = (address: string) => {
    const socket = new PretendSocket(address)
    connections.add(socket as unknown as Connected)
    return socket
  }
  const ask = (socket: PretendSocket, state: { complete?: boolean; headersSent?: boolean } = {}) => {
    const { complete = true, headersSent = false } = state
    const response = Object.assign(new EventEmitter(), { req: { complete }, headersSent })
    const fits = connections.begin(socket as unknown as Connected, response as unknown as ServerResponse)
    return { fits, end: () => response.emit('close') }
  }
  const many = (count: number, address: string) => Array.from({ length: count }, () => open(address))
  return { clock, connections, open, ask, many }
}

it('one of IPv6 is of its /64, however it is written', () => {
  const asked = [
    ...['127.0.0.1', '::ffff:10.0.0.1', '::FFFF:10.0.0.1', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::9', '2001:db8::1'],
    ...['fe80::1%eth0', '::1', '::', '2001:db8:1:3::', ''],
  ]
  expect(asked.map((remoteAddress) => addressOf({ remoteAddress }))).toEqual([
    ...['127.0.0.1', '10.0.0.1', '10.0.0.1', '2001:0db8:0001:0002', '2001:0db8:0001:0002', '2001:0db8:0000:0000'],
    ...['fe80:0000:0000:0000', '0000:0000:0000:0000', '0000:0000:0000:0000', '2001:0db8:0001:0003', ''],
  ])
})

it('the longest idle one gives way, of the address that has the most', () => {
  const { clock, connections, open, many } = house()
  const first = open('a')
  clock.ms = 1000
  const others = many(9, 'b')
  clock.ms = 2000
  const latest = open('a')
  expect([first, latest, ...others].map(({ destroyed }) => destroyed).indexOf(true)).toBe(2) // the first of b's
  expect(connections.count).toBe(10)
})

it('to one of another address even what has just come gives way, however many there are', () => {
  const { connections, open, ask, many } = house()
  const old = open('b')
  const crowd = many(300, 'a')
  expect([connections.count, ask(open('b')).fits, ask(open('c')).fits, old.destroyed]).toEqual([266, true, true, false])
  expect(crowd.slice(0, 3).map(({ destroyed }) => destroyed)).toEqual([true, true, false])
})

it('one that has just come, or has just had its answer, is not idle yet; then the next is one too many', () => {
  const { clock, connections, open, ask, many } = house()
  const [asked] = many(10, 'a')
  const { end } = ask(asked)
  clock.ms = 990
  end()
  const early = open('a')
  expect(ask(early).fits).toBe(false)
  clock.ms = 1500
  expect([ask(open('a')).fits, asked.destroyed, connections.count]).toEqual([true, false, 11])
  early.destroy()
  expect(connections.count).toBe(10)
})

it('where none is idle an address with more than half of all gives up one that has the server wait; a whole request is answered', () => {
  const { clock, open, ask, many } = house()
  const [whole, uploads, reads, ...rest] = many(8, 'a')
  ask(whole)
  ask(uploads, { complete: false })
  ask(reads, { headersSent: true })
  for (const each of rest) ask(each)
  for (const each of many(2, 'b')) ask(each, { complete: false })
  clock.ms = 1000
  expect(ask(open('c')).fits).toBe(true)
  expect([whole, uploads, reads].map(({ destroyed }) => destroyed)).toEqual([false, true, false])
  expect(ask(open('c')).fits).toBe(true)
  expect([whole, reads].map(({ destroyed }) => destroyed)).toEqual([false, true])
  expect(ask(open('c')).fits).toBe(false)
  expect(rest.some(({ destroyed }) => destroyed)).toBe(false)
})

it('who has more than half takes nobody’s but its own', () => {
  const { clock, open, ask, many } = house()
  for (const each of [...many(7, 'a'), ...many(3, 'b')]) ask(each, { complete: false })
  clock.ms = 1000
  expect(ask(open('a')).fits).toBe(false)
})

it('256 beyond the limit stay, to be told so; more are closed', () => {
  const { connections, many } = house()
  const all = many(270, 'a')
  expect([all.filter(({ destroyed }) => destroyed), connections.count]).toEqual([all.slice(266), 266])
})

it('several requests of one connection are over with the last of them', () => {
  const { clock, connections, open, ask, many } = house()
  const [busy] = many(1, 'a')
  const requests = [ask(busy), ask(busy)]
  for (const each of many(9, 'a')) ask(each)
  clock.ms = 1000
  requests[0].end()
  clock.ms = 2000
  expect(ask(open('a')).fits).toBe(false)
  requests[1].end()
  clock.ms = 3000
  ask(open('a'))
  expect([busy.destroyed, connections.count]).toEqual([true, 11])
})
