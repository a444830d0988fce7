/** Reads a saved state that pack.ts wrote, and refuses all other bytes. */

import { expected } from '../base/check'
import { checksum } from '../base/checksum'
import * as saved from '../base/saved'
import { type ElementKind, FIRST, KINDS, kinds, VERSION, type What } from './pack'

/** The most bytes of the second line: all that is learned is bounded, and takes less than 3 MB as JSON. */
const MOST_HEADER = 2 ** 22
const MOST_ARRAYS = 32

/** @throws TypeError, RangeError for bytes that are no state of this version, or were changed */
export function unpack(what: What, bytes: Uint8Array): Archive {
  if (!(bytes instanceof Uint8Array)) throw new TypeError(expected('state', 'a Uint8Array', bytes))
  checkFirst(what, bytes)
  const end = bytes.indexOf(10, FIRST)
  if (end < 0 || end - FIRST > MOST_HEADER) {
    throw saved.refused('header', `a line of at most ${MOST_HEADER} bytes`, 'more')
  }
  const header = saved.object('header', parsed(bytes.subarray(FIRST, end)), ['what', 'content', 'arrays'])
  const got = saved.text('what', header.what)
  if (got !== what) {
    throw new RangeError(`state: expected what save() of a ${what} gave, got that of a ${got.slice(0, 20)}`)
  }
  return new Archive(header.content, header.arrays, bytes.subarray(end + 1))
}

/** A saved state whose parts are taken out one by one. */
export class Archive {
  readonly #arrays = new Map<string, { kind: ElementKind; bytes: Uint8Array }>()

  /** Compares all lengths with the bytes that are there, before any array is made. */
  constructor(
    readonly content: unknown,
    described: unknown,
    bytes: Uint8Array,
  ) {
    let at = 0
    for (const [i, value] of saved.list('arrays', described, MOST_ARRAYS).entries()) {
      const each = saved.object(`arrays[${i}]`, value, ['name', 'kind', 'length'])
      const kind = saved.word(`arrays[${i}].kind`, each.kind, kinds)
      const from = at
      at += saved.integer(`arrays[${i}].length`, each.length, 0, bytes.length) * KINDS[kind].BYTES_PER_ELEMENT
      if (at > bytes.length) throw saved.refused('arrays', `${at} bytes or more`, bytes.length)
      const name = saved.text(`arrays[${i}].name`, each.name)
      if (this.#arrays.has(name)) throw saved.refused(`arrays[${i}].name`, 'one of its own', name)
      this.#arrays.set(name, { kind, bytes: bytes.subarray(from, at) })
    }
    if (at !== bytes.length) throw saved.refused('arrays', `${at} bytes`, bytes.length)
  }

  has(name: string): boolean {
    return this.#arrays.has(name)
  }

  /**
   * Takes out an array.
   *
   * @param length  default: any
   * @param most    the largest absolute value of floats; default: the largest f32
   * @returns a copy; all values are finite
   * @throws RangeError if there is no such array, or its kind, length or values are not as expected
   */
  take<K extends ElementKind>(name: string, kind: K, length?: number, most = saved.MOST) {
    const found = this.#arrays.get(name)
    this.#arrays.delete(name)
    const got = found && found.bytes.length / KINDS[found.kind].BYTES_PER_ELEMENT
    if (found?.kind !== kind || got !== (length ?? got)) {
      throw saved.refused(name, `${length ?? ''} values of ${kind}`, found ? `${got} of ${found.kind}` : 'none')
    }
    // `slice` of a Node Buffer would not copy.
    const array = new KINDS[kind](new Uint8Array(found.bytes).buffer) as InstanceType<(typeof KINDS)[K]>
    if (kind !== 'f4' && kind !== 'f8') return array
    // A loop: `findIndex` takes four times as long.
    for (let i = 0; i < array.length; i++) {
      if (Math.abs(array[i]) <= most) continue
      throw saved.refused(`${name}[${i}]`, `a number from -${most} to ${most}`, array[i])
    }
    return array
  }

  /** To be called last. @throws RangeError if an array was not taken */
  end(): void {
    for (const name of this.#arrays.keys()) throw saved.refused('arrays', 'no others', name)
  }
}

function checkFirst(what: What, bytes: Uint8Array): void {
  const text = new TextDecoder().decode(bytes.subarray(0, 40))
  const [, version, sum] = /^approxifer (\d+) ([0-9a-f]{16})\n/.exec(text) ?? []
  if (version === undefined) throw new RangeError(`state: expected what save() of a ${what} gave, got something else`)
  if (Number(version) !== VERSION) {
    throw new RangeError(
      `state: expected version ${VERSION}, got version ${version}: leave it out, and let it be learned anew`,
    )
  }
  const own = checksum(bytes.subarray(FIRST))
  if (sum !== own) {
    throw new RangeError(`state: expected checksum ${sum}, got ${own}: bytes of it are missing or changed`)
  }
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return undefined
  }
}
