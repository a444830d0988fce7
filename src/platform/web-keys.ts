/** Keys of web pages: by WebCrypto if it has Ed25519, else in JavaScript, which is then imported. */

import type { Keys } from './platform'
import { areEqual, type KeyMaker, webCrypto } from './webcrypto'

const loadNoble = async (): Promise<KeyMaker> => (await import('./noble')).noble

let chosen: Promise<KeyMaker> | undefined

function maker(): Promise<KeyMaker> {
  chosen ??= webCrypto.make().then(() => webCrypto, loadNoble) // outside of secure contexts there is no `crypto.subtle`
  return chosen
}

export const keys: Keys = {
  generate: async () => (await maker()).generate(),

  async kept(name) {
    const own = await maker()
    const found = await keep(name, await own.make())
    return found instanceof Uint8Array ? (await loadNoble()).pairOf(found) : own.pairOf(found)
  },

  verifier(identity) {
    const verify = maker().then((own) => own.verifier(identity))
    verify.catch(() => {}) // the caller of the returned function gets the error
    return async (signed, signature) => (await verify)(signed, signature)
  },

  /** Falls back to JavaScript, since a browser may have Ed25519 but no X25519. */
  secret: async () => (await maker()).secret().catch(async () => (await loadNoble()).secret()),

  areEqual,
}

const STORE = 'keys'

/** Stores `made` under the name unless there is a value already, in one transaction, so that two tabs agree. @returns the stored value */
function keep(name: string, made: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open('approxifer', 1)
    const failed = () => reject(new Error(`key: nothing can be kept here: ${opening.error?.message}`))
    opening.onerror = failed
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE)
    opening.onsuccess = () => {
      const transaction = opening.result.transaction(STORE, 'readwrite')
      const store = transaction.objectStore(STORE)
      const reading = store.get(name)
      reading.onsuccess = () => {
        if (reading.result === undefined) store.put(made, name)
      }
      transaction.onabort = failed
      transaction.oncomplete = () => {
        opening.result.close()
        resolve(reading.result ?? made)
      }
    }
  })
}
