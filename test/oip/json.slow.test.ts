import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { JsonElements } from '../../src/oip/element-list'
import { parseJson } from '../../src/oip/json'
import { bytesOf } from '../shared/oip-messages'

/** In slices, as only long documents are. */
const numbersOf = async (text: string) =>
  ((await parseJson(bytesOf(`{"data":${text}}`), 0)) as { data: JsonElements }).data
/** At once, as short ones are. */
const shortOf = async (text: string) => ((await parseJson(bytesOf(`{"data":${text}}`))) as { data: JsonElements }).data
const f32 = fc.float({ noNaN: true, noDefaultInfinity: true })

function isParsed(text: string): boolean {
  try {
    return JSON.parse(text) !== undefined
  } catch {
    return false
  }
}

describe('numbers in slices', () => {
  it('are to the bit the float32 next to what JSON.parse gives, or told as a flaw', async () => {
    const digits = fc.stringMatching(/^-?(0|[1-9]\d{0,24})(\.\d{1,24})?([eE][+-]?\d{1,3})?$/)
    const halfway = f32.map((x) => String((x + Math.fround(x * (1 - 2 ** -23))) / 2))
    const texts = fc.array(
      fc.oneof(digits, halfway, fc.double({ noNaN: true, noDefaultInfinity: true }).map(String), f32.map(String)),
    )
    await fc.assert(
      fc.asyncProperty(texts, async (all) => {
        const { values, flaw } = await numbersOf(`[${all}]`)
        const wanted = all.map((text) => Math.fround(JSON.parse(text)))
        if (wanted.every(Number.isFinite)) expect([...values]).toEqual(wanted)
        expect(flaw === undefined).toBe(wanted.every(Number.isFinite))
      }),
      { numRuns: 2000 },
    )
  })

  it('are refused where JSON.parse would refuse them', async () => {
    const text = fc.array(fc.constantFrom('1', '0', '-', '.', 'e', '+', ',', '[', ']', ' ', '\n', '2.5', '1e3'), {
      maxLength: 12,
    })
    await fc.assert(
      fc.asyncProperty(
        text.map((parts) => `[${parts.join('')}]`),
        async (array) => {
          const isJson = isParsed(array)
          const read = await numbersOf(array).then(
            ({ flaw }) => (flaw ? 'spoilt' : true), // then the rest is not looked at
            (error) => (/equal lengths/.test(error.message) ? 'ragged' : false),
          )
          if (typeof read === 'boolean') expect([array, read]).toEqual([array, isJson])
        },
      ),
      { numRuns: 5000 },
    )
  })

  it('keep the lengths of nested arrays, and refuse ragged ones', async () => {
    expect((await numbersOf('[[[1,2]],[[3,4]],[[5,6]]]')).dims).toEqual([3, 1, 2])
    expect((await numbersOf('[]')).dims).toEqual([0])
    for (const ragged of [
      '[[1],[2,3]]',
      '[1,[2]]',
      '[[1],2]',
      '[[1,2],[3]]',
      '[[],[1]]',
      '[[[1]],[2]]',
      '[[1],[[2]]]',
    ]) {
      await expect(numbersOf(ragged), ragged).rejects.toThrow(/expected arrays of equal lengths/)
    }
  })

  it('may cross the border between two slices anywhere, and let others have their turn', async () => {
    const values = Array.from({ length: 120_000 }, (_, i) => Math.fround(Math.sin(i)))
    let turns = 0
    const count = setInterval(() => turns++)
    for (const pad of ['', ' ', '  ', '   ']) expect([...(await numbersOf(`[${pad}${values}]`)).values]).toEqual(values)
    clearInterval(count)
    expect(turns).toBeGreaterThan(8)
  })

  it('keep no more memory than twice what they need, however long the rest of the body made them seem', async () => {
    const short = `{"data":[${Array(5000).fill(1)}]}`
    const long = `{"data":[${Array(300_000).fill(1.25)}]}`
    const read = (await parseJson(bytesOf(`[${short},${long}]`), 0)) as { data: JsonElements }[]
    expect(read.map(({ data }) => data.values.length)).toEqual([5000, 300_000])
    for (const { data } of read) {
      const { buffer, byteLength } = data.values as Float32Array
      expect(buffer.byteLength).toBeLessThanOrEqual(2 * byteLength)
    }
  })

  it.each([0, 1000])('under a key that only looks like one are left as they are (at once: %i)', async (atOnce) => {
    const text = '{"a":"data","b":["data",[1]],"\\"data":[1],"data":{"data":[[1,2]]},"c":"\\"data\\":[1,"}'
    const read = (await parseJson(bytesOf(text), atOnce)) as { data: { data: JsonElements } }
    const plain = JSON.parse(text)
    expect({ ...read, data: 0 }).toEqual({ ...plain, data: 0 })
    expect(read.data.data.dims).toEqual([1, 2])
  })

  it('under the key with letters escaped are its own, and not those of another', async () => {
    const text = '{"a":{"data":[7,8]},"b":{"d\\u0061ta":[0]},"c":{"\\u0064\\u0061\\u0074\\u0061":[5]}}'
    const read = (await parseJson(bytesOf(text), 0)) as Record<string, { data: JsonElements }>
    expect(Object.values(read).map(({ data }) => [...data.values])).toEqual([[7, 8], [0], [5]])
  })

  it('at once are those in slices, and the same is refused', async () => {
    const leaf = fc.constantFrom(
      '1',
      '-0',
      '1.5e3',
      '3.4028235e38',
      '3.5e38',
      '-1e39',
      '1e-50',
      'null',
      'true',
      '""',
      '{}',
    )
    const { array } = fc.letrec<{ array: string; element: string }>((tie) => ({
      array: fc.array(tie('element'), { maxLength: 3 }).map((all) => `[${all}]`),
      element: fc.oneof({ maxDepth: 3 }, leaf, tie('array')),
    }))
    await fc.assert(
      fc.asyncProperty(array, async (text) => {
        const told = ({ values, dims, flaw }: JsonElements) => (flaw ? 'refused' : { values, dims })
        const refused = ({ message }: Error) => (/equal lengths/.test(message) ? 'refused' : message)
        expect(await shortOf(text).then(told, refused), text).toEqual(await numbersOf(text).then(told, refused))
      }),
      { numRuns: 3000 },
    )
    expect((await shortOf(`[[${'1,'.repeat(9999)}1]${',[1]'.repeat(9999)}]`).catch((error) => error)).message).toMatch(
      /equal/,
    )
    expect((await shortOf(`${'['.repeat(30000)}${']'.repeat(30000)}`).catch((error) => error)).message).toMatch(
      /32 dim/,
    )
  })

  it('whatever is sent, nobody is kept waiting: blanks, numbers that are slow to read, many arrays, much beside them', async () => {
    const texts = [
      `{"data"${' '.repeat(3e7)}:[1]}`,
      `{"a":[${'{"data":[1]},'.repeat(1e5)}1]}`,
      `{"a":[${'{},'.repeat(3e5)}1],"data":[1]}`,
      `{"data":[${'1e-30,'.repeat(3e5)}1]}`,
    ]
    /** Of this process: others may hold the machine. */
    const since = (start: NodeJS.CpuUsage) => {
      const { user, system } = process.cpuUsage(start)
      return (user + system) / 1000
    }
    const start = process.cpuUsage()
    JSON.parse(texts[2])
    const unit = since(start) // 30 ms on the machine that this was written on
    const holds = []
    for (const bytes of texts.map(bytesOf)) {
      let last = process.cpuUsage()
      let longest = 0
      const look = () => {
        longest = Math.max(longest, since(last))
        last = process.cpuUsage()
      }
      const timer = setInterval(look)
      await parseJson(bytes).catch(() => {})
      look()
      clearInterval(timer)
      holds.push(longest)
    }
    expect(Math.max(...holds), `${holds}`).toBeLessThan(1.5 * unit)
  })
})

it('a thousand arrays of numbers are read, no more', async () => {
  const read = (count: number) => parseJson(bytesOf(`[${Array(count).fill('{"data":[1]}')}]`), 0)
  expect(((await read(1000)) as unknown[]).length).toBe(1000)
  await expect(read(1001)).rejects.toThrow("the JSON: expected at most 1000 arrays under 'data', got more")
})
