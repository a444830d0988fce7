import { describe, expect, it } from 'vitest'
import { seeded } from '../../src/base/random'
import { loadCore } from '../../src/core/load'
import { Memory } from '../../src/memory/memory'
import { patchFeatures } from '../../src/memory/patches'

const wasm = await loadCore({ prefer: 'wasm' })
const js = await loadCore({ prefer: 'js' })
const row = (...values: number[]) => Float32Array.from(values)
const noise = (length: number, seed: number) => {
  const random = seeded(seed)
  return Float32Array.from({ length }, () => random.gauss())
}

describe('images', () => {
  const side = 16
  const random = seeded(4)
  /** A slanted edge somewhere; its answer is the slant. */
  const edge = (slant: number) => {
    const at = 4 + 8 * random.next()
    return Float32Array.from({ length: side * side }, (_, i) => {
      const [x, y] = [i % side, Math.floor(i / side)]
      return Number(x - side / 2 + slant * (y - side / 2) > at - side / 2) + 0.05 * random.gauss()
    })
  }
  const images = Array.from({ length: 600 }, () => {
    const slant = 2 * random.next() - 1
    return { slant, image: edge(slant) }
  })
  const learned = (told: (slant: number) => number, core = wasm, count = 300) => {
    const memory = new Memory(core, { shape: [1, side, side], outputs: 1, bytes: 2e7 })
    for (const { image, slant } of images.slice(0, count)) memory.remember(image, row(told(slant)))
    return memory
  }
  const worst = (told: (slant: number) => number) => {
    const memory = learned(told)
    const errors = images
      .slice(300, 400)
      .map(({ image, slant }) => Math.abs((memory.recover(image)?.answer[0] ?? 9) - told(slant)))
    return errors.sort((a, b) => a - b)[50]
  }

  it('lookups between the steps of training, and of each other, change nothing: neither what they say nor what is learned', () => {
    for (const [core, lessons] of [
      [wasm, 6],
      [js, 1],
    ] as const) {
      const [alone, disturbed] = [0, 1].map(() => {
        const memory = new Memory(core, { shape: [1, side, side], outputs: 1 })
        for (const { image, slant } of images.slice(0, 150)) memory.remember(image, row(slant))
        return memory
      })
      for (const { image, slant } of images.slice(150, 150 + lessons)) {
        const other = images[500].image
        expect(disturbed.recover(other)).toBeDefined()
        disturbed.place(image, row(slant))
        while (disturbed.work()) expect(disturbed.recover(other)).toBeDefined()
        alone.remember(image, row(slant))
      }
      expect(disturbed.save()).toEqual(alone.save())
    }
  })

  it('are compared by patches; what mirroring changes is told from what it does not', () => {
    expect(worst((slant) => slant)).toBeLessThan(0.15)
    expect(worst((slant) => Math.abs(slant))).toBeLessThan(0.15)
  })

  it('are the same with channels behind, enlarged, or with each channel twice', () => {
    const [C, H, W] = [3, 40, 30]
    const photos = Array.from({ length: 20 }, (_, i) => noise(C * H * W, i))
    const at = (photo: Float32Array, c: number, y: number, x: number) => photo[(c * H + y) * W + x]
    const forms = [
      { shape: [C, H, W], of: (c: number, y: number, x: number) => [c, y, x] },
      { shape: [H, W, C], of: (y: number, x: number, c: number) => [c, y, x] },
      { shape: [C, 2 * H, 2 * W], of: (c: number, y: number, x: number) => [c, y >> 1, x >> 1] },
    ]
    const [plain, ...others] = forms.map(({ shape, of }) => {
      const [, b, c] = shape
      const images = photos.map((photo) => {
        return Float32Array.from({ length: shape[0] * b * c }, (_, i) => {
          const [channel, y, x] = of(Math.floor(i / b / c), Math.floor(i / c) % b, i % c)
          return at(photo, channel, y, x)
        })
      })
      return patchFeatures(wasm, { shape, samples: images })(images[3])
    })
    for (const other of others) expect(Math.max(...other.map((v, i) => Math.abs(v - plain[i])))).toBeLessThan(1e-3)
    const four = photos.map((_, i) => noise(4 * H * W, i))
    const twice = four.map((photo) => {
      return Float32Array.from({ length: 8 * H * W }, (_, i) => photo[((i / H / W) >> 1) * H * W + (i % (H * W))])
    })
    const [once, doubled] = [four, twice].map((samples, i) => {
      return patchFeatures(wasm, { shape: [4 << i, H, W], samples })(samples[3])
    })
    expect(doubled).toEqual(once)
    expect(() => patchFeatures(wasm, { shape: [30, 3, 30], samples: photos })).toThrow('12 x 12 or more')
  })

  it('large ones are shrunk first, so that none takes long', () => {
    const memory = new Memory(wasm, { shape: [3, 225, 300], outputs: 1 })
    expect(memory.capacity).toBeGreaterThan(1000)
    const photo = (seed: number) => {
      const pixels = new Float32Array(3 * 225 * 300)
      const random = seeded(seed)
      for (let i = 0; i < pixels.length; i++) pixels[i] = random.next()
      return pixels
    }
    for (let i = 0; i < 140; i++) memory.remember(photo(i), row(i % 2))
    expect(memory.recover(photo(7))?.answer[0]).toBeCloseTo(1, 1)
    expect(() => new Memory(wasm, { shape: [1, 300, 12], outputs: 1, features: 'patches' })).toThrow("expected 'raw'")
    expect(Memory.fits({ shape: [100], outputs: 10 })).toBe(true)
    expect(Memory.fits({ shape: [1e6], outputs: 10 })).toBe(false)
  })

  it('one glaring image among the first does not make all later ones duplicates', () => {
    const memory = new Memory(wasm, { shape: [1, side, side], outputs: 1, bytes: 2e7 })
    images.slice(0, 400).forEach(({ image, slant }, i) => {
      memory.remember(i === 10 ? image.map((pixel) => 1e4 * pixel) : image, row(slant))
    })
    expect(memory.size).toBeGreaterThan(350)
  })

  it('one image of values that f32 cannot square does not turn the memory off, and nothing is recovered for it', () => {
    const memory = new Memory(wasm, { shape: [1, side, side], outputs: 1, bytes: 2e7 })
    const huge = images[10].image.map((pixel) => 1e30 * (pixel + 1))
    images.slice(0, 200).forEach(({ image, slant }, i) => {
      memory.remember(i === 10 ? huge : image, row(slant))
    })
    expect(memory.size).toBe(199)
    expect(memory.recover(huge)).toBeUndefined()
    expect(memory.recover(images[300].image)?.answer[0]).toBeLessThan(Number.POSITIVE_INFINITY)
  })

  it.each([
    ['faint', 0.2],
    ['huge', 1000],
  ])('140 first queries of %s noise do not decide for ever what is alike', (_, scale) => {
    const [noisy, clean] = [140, 0].map((count) => {
      const memory = new Memory(wasm, { shape: [1, side, side], outputs: 1, bytes: 2e7 })
      for (let i = 0; i < count; i++) {
        const query = noise(side * side, i).map((pixel) => scale * pixel)
        memory.remember(query, row(scale * (query[0] > 0 ? 1 : -1)))
      }
      for (const { image, slant } of images.slice(0, 500)) memory.remember(image, row(slant))
      const errors = images.slice(500).map(({ image, slant }) => {
        return Math.abs((memory.recover(image)?.answer[0] ?? 9) - slant)
      })
      return errors.sort((a, b) => a - b)[80]
    })
    expect(noisy).toBeLessThan(1.3 * clean)
  })

  it('the same on both cores, and after saving', () => {
    const [a, b] = [wasm, js].map((core) => learned((slant) => slant, core, 160))
    const { image } = images[350]
    expect(a.recover(image)).toEqual(b.recover(image))
    const again = new Memory(wasm, { shape: [1, side, side], outputs: 1, bytes: 2e7 }, a.save())
    expect(again.recover(image)?.answer[0]).toBeCloseTo(a.recover(image)?.answer[0] as number, 5)
  })
})
