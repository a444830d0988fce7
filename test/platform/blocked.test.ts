/** Why a page's request failed, where no browser here can show it: pages of https. */

import { afterEach, expect, it, vi } from 'vitest'
import { whyBlocked } from '../../src/platform/blocked'

afterEach(() => vi.unstubAllGlobals())

/** A page at this address whose requests all fail. */
function page(url: string): void {
  vi.stubGlobal('location', new URL(url))
  vi.stubGlobal('origin', new URL(url).origin)
  vi.stubGlobal('document', {})
  vi.stubGlobal('fetch', () => Promise.reject(new TypeError('Failed to fetch')))
}

it('a server of http is told from one that is gone in a page of https, which may not call it (mixed content)', async () => {
  page('https://page.example/app/')
  const mixed = 'http is forbidden in a page of https (mixed content)'
  expect(await whyBlocked('http://server.example/v2')).toBe(`${mixed}: the server needs https`)
  for (const host of ['127.0.0.1:81', 'localhost', 'app.localhost', '[::1]:81']) {
    expect(await whyBlocked(`http://${host}/v2`)).toMatch(`no server answers there: it is down`) // most browsers allow it
    expect(await whyBlocked(`http://${host}/v2`)).toContain(mixed)
  }
  expect(await whyBlocked('https://server.example/v2')).toMatch(/^no server answers there: .*Cross-Origin/)
  expect(await whyBlocked('model.onnx')).toBe(
    'no server answers there: it is down, or its address or certificate is wrong',
  )
})

it('what no server sends has no explanation', async () => {
  page('https://page.example/')
  for (const url of ['blob:https://page.example/1', 'data:,a', 'http://']) expect(await whyBlocked(url)).toBeUndefined()
})
