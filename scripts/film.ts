/** npm run film: writes docs/film.svg, the film as a picture that CSS moves, so that it plays where a page shows it as an image. Prints its size. */

import { writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { loadDigits } from '../src/cli/demo/digits'
import { filmed } from './film-today'

const PATH = 'docs/film.svg'
const svg = await filmed(await loadDigits())
const kilobytes = (bytes: number) => (bytes / 1000).toFixed(1)
writeFileSync(PATH, svg)
console.log(`${PATH}: ${kilobytes(svg.length)} KB, ${kilobytes(gzipSync(svg).length)} KB gzip`)
process.exit()
