import { describe, expect, it } from 'vitest'
import { noble } from '../../src/platform/noble'
import type { Mac } from '../../src/platform/platform'
import { keys } from '../../src/platform/web-keys'
import { webCrypto } from '../../src/platform/webcrypto'

const text = Uint8Array.of(1, 2, 3)
const hasEd25519 = await webCrypto.make().then(
  () => true,
  () => false,
)

describe('a tab’s key', () => {
  it('kept under a name is the same again, and signs', async () => {
    const [first, second] = await Promise.all([keys.kept('machine'), keys.kept('machine')])
    const other = await keys.kept('other')
    expect([second.identity, other.identity === first.identity]).toEqual([first.identity, false])
    expect(first.identity).toMatch(/^[\w-]{43}$/)
    const verify = keys.verifier(first.identity)
    expect(await verify(text, await second.sign(text))).toBe(true)
    expect(await verify(text, await other.sign(text))).toBe(false)
  })

  it.skipIf(!hasEd25519)('cannot be read out, and signs what JavaScript checks', async () => {
    const made = (await webCrypto.make()) as CryptoKeyPair
    await expect(crypto.subtle.exportKey('pkcs8', made.privateKey)).rejects.toThrow()
    const pair = await webCrypto.pairOf(made)
    const signature = await pair.sign(text)
    expect(await noble.verifier(pair.identity)(text, signature)).toBe(true)
    expect(await webCrypto.verifier(pair.identity)(text, signature)).toBe(true)
  })

  it('is made in JavaScript where WebCrypto has none: alike, but for who can read it', async () => {
    const pair = await noble.generate()
    const verify = hasEd25519 ? webCrypto.verifier(pair.identity) : noble.verifier(pair.identity)
    expect(await verify(text, await pair.sign(text))).toBe(true)
  })

  it('and a secret in JavaScript seal alike', async () => {
    const [one, other] = await Promise.all([keys.secret(), noble.secret()])
    const infos = ['there', 'back']
    const [own, its] = await Promise.all([one.agree(other.own, infos), other.agree(one.own, infos)])
    const seals = async (macs: Mac[]) => Promise.all(macs.map(async (mac) => [...(await mac(text, text))]))
    const [there, back] = await seals(own)
    expect(await seals(its)).toEqual([there, back])
    expect(there).not.toEqual(back)
    const [a, b] = [there, back].map((seal) => Uint8Array.from(seal))
    expect([keys.areEqual(a, a.slice()), keys.areEqual(a, b), keys.areEqual(a, a.subarray(1))]).toEqual([
      true,
      false,
      false,
    ])
  })
})
