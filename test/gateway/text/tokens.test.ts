/** Texts as tokens: what is too long is cut as tokenizers of transformers cut it, or refused; nothing is left out silently. */

import { describe, expect, it } from 'vitest'
import { TextTokens, TooLong } from '../../../src/gateway/text/tokens'
import { tokenizer } from '../../shared/embedder'

const [CLS, SEP] = [2, 3]
const ids = (text: string) => tokenizer.encode(text, { add_special_tokens: false }).ids
const LETTERS = 'abcdefghij'.split('')
const letters = (count: number, from = 0) => LETTERS.slice(from, from + count).join(' ')

describe('a text', () => {
  const tokens = new TextTokens(tokenizer, 8)

  it('is what the tokenizer says, as long as it is not too long', () => {
    const row = { ids: [CLS, ...ids('a library'), SEP], types: [0, 0, 0, 0] }
    expect(tokens.row('input', ['a library'], 'refuse')).toEqual(row)
    expect(tokens.row('input', [letters(6)], 'refuse').ids).toEqual([CLS, ...ids(letters(6)), SEP])
  })

  it('that is too long is refused with its length, or loses tokens at one end and no special ones', () => {
    expect(() => tokens.row('input[1]', [letters(7)], 'refuse')).toThrow(TooLong)
    expect(() => tokens.row('input[1]', [letters(7)], 'refuse')).toThrow('input[1]: expected at most 8 tokens, got 9')
    expect(tokens.row('input', [letters(10)], 'right').ids).toEqual([CLS, ...ids(letters(6)), SEP])
    expect(tokens.row('input', [letters(10)], 'left').ids).toEqual([CLS, ...ids(letters(6, 4)), SEP])
  })

  it('of millions of characters is read no further than its first or last ones', () => {
    const read: number[] = []
    const counting = {
      id_to_token: (id: number) => tokenizer.id_to_token(id),
      encode: (text: string, options?: object) => {
        read.push(text.length)
        return tokenizer.encode(text, options)
      },
    }
    const long = `first ${'word '.repeat(1_000_000)}last`
    const own = new TextTokens(counting, 8)
    expect(own.row('input', [long], 'right').ids.slice(0, 2)).toEqual([CLS, ids('first')[0]])
    expect(own.row('input', [long], 'left').ids.slice(-2)).toEqual([ids('last')[0], SEP])
    expect(Math.max(...read)).toBe(65_536)
    expect(() => own.row('input', [long], 'refuse')).toThrow(
      'expected at most 8 tokens, got more than 65536 characters',
    )
  })

  it.each([[''], [5], [null], [{}]])('is not %o', (text) => {
    expect(() => tokens.row('input', [text], 'right')).toThrow('input: expected a text that is not empty')
  })
})

describe('a pair of texts', () => {
  const tokens = new TextTokens(tokenizer, 11) // three of them special
  const pair = (a: string, b: string) => ({
    ids: [CLS, ...ids(a), SEP, ...ids(b), SEP],
    types: [0, ...ids(a).map(() => 0), 0, ...ids(b).map(() => 1), 1],
  })

  it('has tokens of both kinds', () => {
    expect(tokens.row('texts[0]', ['a b', 'c d e'], 'refuse')).toEqual(pair('a b', 'c d e'))
  })

  it.each([
    ['right', 2, 9, pair(letters(2), letters(6))],
    ['right', 9, 2, pair(letters(6), letters(2))],
    ['right', 9, 10, pair(letters(4), letters(4))],
    ['left', 2, 9, pair(letters(2), letters(6, 3))],
    ['left', 9, 9, pair(letters(4, 5), letters(4, 5))],
  ] as const)('that is too long loses tokens on the %s: %i and %i', (side, a, b, expected) => {
    expect(tokens.row('texts[0]', [letters(a), letters(b)], side)).toEqual(expected)
    expect(() => tokens.row('texts[0]', [letters(a), letters(b)], 'refuse')).toThrow(TooLong)
  })

  it('of an odd number of places gives the one left over to the longer one', () => {
    const odd = new TextTokens(tokenizer, 10)
    expect(odd.row('texts[0]', [letters(9), letters(10)], 'right')).toEqual(pair(letters(3), letters(4)))
    expect(odd.row('texts[0]', [letters(10), letters(9)], 'right')).toEqual(pair(letters(4), letters(3)))
  })
})

describe('token ids that a caller gives', () => {
  const tokens = new TextTokens(tokenizer, 8)

  it('are taken as they are', () => {
    expect(tokens.given('input', [43, 44], 'refuse')).toEqual({ ids: [43, 44], types: [0, 0] })
    const ten = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19]
    expect(tokens.given('input', ten, 'right').ids).toEqual(ten.slice(0, 8))
    expect(tokens.given('input', ten, 'left').ids).toEqual(ten.slice(2))
    expect(() => tokens.given('input', ten, 'refuse')).toThrow('input: expected at most 8 tokens, got 10')
  })

  it.each([
    [[], 'input: expected a text or tokens, got none'],
    [[1, 6378], 'input[1]: expected a token id of this model, got 6378'],
    [[-1], 'input[0]: expected a token id of this model, got -1'],
    [[1.5], 'input[0]: expected a token id of this model, got 1.5'],
    [[1, 'a'], 'input[1]: expected a token id of this model, got "a"'],
  ])('are none: %o', (list, message) => {
    expect(() => tokens.given('input', list, 'right')).toThrow(message)
  })
})
