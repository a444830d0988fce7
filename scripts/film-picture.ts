/** The film as an animated SVG: what moves, moves by CSS, in a loop; where motion is reduced, a moment of it stands still. */

import type { Band } from '../src/film/film'
import type { FilmCall } from '../src/film/machine'

/** A text and when it is shown, milliseconds; `kind`: a CSS class. */
export interface Shown {
  readonly from: number
  readonly until: number
  readonly text: string
  readonly kind?: string
}

/** A band, with what its counters and its lanes say. */
export interface FilmedBand {
  readonly title: string
  readonly about: string
  readonly band: Band
  readonly counters: readonly { readonly label: string; readonly values: readonly Shown[] }[]
  /** What is said beside each machine; empty: without lanes. */
  readonly states: readonly (readonly Shown[])[]
  /** Whether it has a lane for the answers that its memory gives. */
  readonly hasMemory: boolean
}

export interface FilmOptions {
  readonly images: readonly Float32Array[]
  readonly bands: readonly FilmedBand[]
  readonly acts: readonly { readonly at: number; readonly text: string }[]
  /** Of the loop, milliseconds. */
  readonly length: number
  /** Lines that the end shows. */
  readonly conclusion: readonly string[]
}

const WIDTH = 880
const [LEFT, MACHINES, STATES] = [26, 640, 732]
const [TOP, BAND, LANE, TILE] = [84, 46, 22, 18]
const TRAY = 32
/** How long a digit flies, milliseconds; a short call: a third of it each way. */
const FLIGHT_MS = 100
/** From when on a call is said to be late; and the steps in which calls are long, so that many share their keyframes. */
const [LATE_MS, STEP_MS] = [400, 20]
/** The moment that stands still where motion is reduced, seconds. */
const STILL = 12.3
/** From when on the conclusion is shown, milliseconds. */
const CONCLUSION_MS = 11_000
const MOST_TRAYED = 11

const CSS = `
:root{--t:0s;--bg:#fbfaf7;--fg:#1c1b19;--mute:#6b675f;--line:#e4e0d6;--good:#1f7a68;--late:#b86a00;--lie:#c62f21;--tile:#26241f;--box:#eeebe2}
@media(prefers-color-scheme:dark){:root{--bg:#161614;--fg:#eceadf;--mute:#a39e92;--line:#2e2c28;--good:#5cc2ab;--late:#f0a64a;--lie:#ff7566;--tile:#3a3731;--box:#262421}}
text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:var(--fg)}
.bg{fill:var(--bg)}.h{font-size:24px;font-weight:700}.t{font-size:16px;font-weight:650}.m{fill:var(--mute)}.s{font-size:11.5px}
.n{font-size:22px;font-weight:700}.e{text-anchor:end}.c{text-anchor:middle}.code{font-family:ui-monospace,"DejaVu Sans Mono",monospace}
.line{stroke:var(--line)}.box{fill:var(--box)}.good{fill:var(--good)}.late{fill:var(--late);font-weight:650}.lie{fill:var(--lie);font-weight:700}
.tile{fill:var(--tile)}.ink{fill:#fff}.l{font-weight:700;font-size:15px;fill:var(--good)}.l.lie{fill:var(--lie)}.ring{fill:none;stroke:var(--late);stroke-width:2.5}.bad{fill:none;stroke:var(--lie);stroke-width:2.5}
.bar{fill:var(--mute);transform-box:fill-box;transform-origin:0 0}
.a,.a>.l,.a>.w,.bar{animation:0s linear infinite;animation-duration:var(--d);animation-delay:calc(var(--s,0s) - var(--t))}.a,.a>.l,.a>.w{opacity:0}
@media(prefers-reduced-motion:reduce){:root{--t:${STILL}s}.a,.a>.l,.a>.w,.bar{animation-play-state:paused}}`

export function filmPicture({ images, bands, acts, length, conclusion }: FilmOptions): string {
  const rules = new Map<string, string>()
  const digits = new Set<number>()
  const body: string[] = []
  const percent = (ms: number) => `${round((100 * ms) / length, 3)}%`

  /** The class of what is seen for so long. */
  function shownFor(long: number): string {
    const ms = Math.round(long)
    const name = `v${ms}`
    rules.set(
      name,
      `.${name}{animation-name:${name}}@keyframes ${name}{0%,${percent(ms)}{opacity:1}${percent(ms + 1)},to{opacity:0}}`,
    )
    return name
  }

  function shown(x: number, y: number, { from, until, text, kind = '' }: Shown, more = ''): void {
    body.push(
      `<text x="${x}" y="${y}" class="a ${shownFor(until - from)} ${kind} ${more}"${since(from)}>${escaped(text)}</text>`,
    )
  }

  /** The class of a digit that flies to its machine, is there, and flies back or vanishes. */
  function flightOf(ms: number, returns: boolean): string {
    const long = Math.max(3 * STEP_MS, STEP_MS * Math.round(ms / STEP_MS))
    const name = `${returns ? 'f' : 'g'}${long / STEP_MS}`
    if (rules.has(name)) return name
    const fly = Math.min(FLIGHT_MS, long / 3)
    const [there, back] = [percent(fly), percent(long - fly)]
    const far = `transform:translateX(${MACHINES - LEFT - TILE - 6}px)`
    const css = [
      `.${name}{animation-name:${name}}`,
      `@keyframes ${name}{0%{opacity:1;transform:none}${there},${back}{${far};opacity:1}`,
      returns
        ? `${percent(long)}{opacity:1;transform:none}${percent(long + 1)},to{opacity:0;transform:none}}`
        : `${percent(long)},to{opacity:0;${far}}}`,
    ]
    if (returns) {
      css.push(
        `.${name}>.l{animation-name:${name}l}@keyframes ${name}l{0%,${back}{opacity:0}${percent(long - fly + 1)},to{opacity:1}}`,
      )
    }
    if (long > LATE_MS) {
      css.push(
        `.${name}>.w{animation-name:${name}w}@keyframes ${name}w{0%,${percent(LATE_MS)}{opacity:0}${percent(LATE_MS + 1)},to{opacity:1}}`,
      )
    }
    rules.set(name, css.join(''))
    return name
  }

  function tile(digit: number): string {
    digits.add(digit)
    return `<use href="#d${digit}"/>`
  }

  /** @param answeredAt  when its caller had an answer */
  function call({ digits: [digit], began, ended = length, outcome, label }: FilmCall, answeredAt = ended): void {
    const ms = Math.min(ended, length) - began
    if (began >= length - FLIGHT_MS || ms < 1) return
    const returns = outcome === 'answered' || outcome === 'lie'
    const marks = [
      ms > LATE_MS ? '<use href="#w" class="w"/>' : '',
      ms > LATE_MS && answeredAt < ended - LATE_MS
        ? `<text x="-40" y="14" class="a ${shownFor(Math.min(ended, length) - answeredAt)} good e"${since(answeredAt)}>another machine answered</text>`
        : '',
      returns ? `<text x="22" y="15" class="l${outcome === 'lie' ? ' lie' : ''}">${label}</text>` : '',
    ]
    body.push(`<g class="a ${flightOf(ms, returns)}"${since(began)}>${tile(digit)}${marks.join('')}</g>`)
  }

  let y = TOP
  for (const { title, about, band, counters, states, hasMemory } of bands) {
    body.push(
      `<text x="${LEFT}" y="${y + 17}" class="t">${title}</text><text x="${LEFT}" y="${y + 34}" class="m">${about}</text>`,
    )
    for (const [i, { label, values }] of counters.entries()) {
      const x = WIDTH - LEFT - 150 * (counters.length - 1 - i)
      for (const value of values) shown(x, y + 19, value, 'n e')
      body.push(`<text x="${x}" y="${y + 34}" class="m s e">${label}</text>`)
    }
    y += BAND
    for (const [i, texts] of states.entries()) {
      const top = y + i * LANE
      body.push(lane(top, `machine ${i + 1}`))
      for (const text of texts) shown(STATES, top + 15, text)
      body.push(`<g transform="translate(${LEFT} ${top + 2})">`)
      for (const each of band.calls) if (each.machine === i) call(each, answerTo(band, each))
      body.push('</g>')
    }
    y += LANE * states.length
    if (hasMemory) {
      const recovered = band.given.filter(({ status, at }) => status === 'recovered' && at < length)
      for (const [i, { at }] of recovered.entries()) {
        const text = `answered ${i + 1} late`
        shown(STATES, y + 15, {
          from: Math.round(at),
          until: Math.round(recovered[i + 1]?.at ?? length),
          text,
          kind: 'good',
        })
      }
      body.push(lane(y, 'its memory'), `<g transform="translate(${LEFT} ${y + 2})">`)
      for (const { digit, at, label } of recovered) {
        if (digit === undefined || label === undefined) continue
        const began = Math.max(0, at - MEMORY_MS)
        call({ machine: -1, digits: [digit], began, ended: at, outcome: 'answered', label })
      }
      body.push('</g>')
      y += LANE
    }
    body.push(`<path d="M${LEFT} ${y + 1}H${WIDTH - LEFT}" class="line"/>`)
    tray(band, y + 5)
    y += TRAY + 14
  }

  /** What callers were given that is not the model's answer: it stays to the end. */
  function tray(band: Band, top: number): void {
    const bad = band.given.filter(({ isRight, at }) => !isRight && at < length)
    body.push(`<text x="${LEFT}" y="${top + 15}" class="m">wrong answers given:</text>`)
    const none = { from: 0, until: Math.max(1, Math.round(bad[0]?.at ?? length)), text: 'nothing', kind: 'good' }
    shown(LEFT + 150, top + 15, none)
    for (const [i, { digit = 0, at, label }] of bad.slice(0, MOST_TRAYED).entries()) {
      const from = Math.round(at)
      body.push(
        `<g transform="translate(${LEFT + 152 + 58 * i} ${top + 1})"><g class="a ${shownFor(length - from)}"${since(from)}>${tile(digit)}<rect x="-1" y="-1" width="20" height="20" rx="4" class="bad"/>`,
      )
      body.push(`<text x="24" y="15" class="lie">${label ?? '✗'}</text></g></g>`)
    }
    if (bad.length > MOST_TRAYED)
      shown(LEFT + 152 + 58 * MOST_TRAYED, top + 15, {
        from: Math.round(bad[MOST_TRAYED].at),
        until: length,
        text: '…',
        kind: 'lie',
      })
  }

  const [from, to] = [LEFT, WIDTH - LEFT]
  const at = (ms: number) => round(from + ((to - from) * ms) / length, 1)
  body.push(`<rect x="${from}" y="${y}" width="${to - from}" height="4" rx="2" class="box"/>`)
  body.push(`<rect x="${from}" y="${y}" width="${to - from}" height="4" rx="2" class="bar"/>`)
  for (const act of acts) {
    body.push(
      `<path d="M${at(act.at)} ${y - 3}v10" class="line" style="stroke:var(--mute)"/><text x="${at(act.at)}" y="${y + 22}" class="m c">${act.text}</text>`,
    )
    shown(at(act.at), y + 22, {
      from: act.at,
      until: length,
      text: act.text,
      kind: 'c',
    })
  }
  for (const [i, text] of conclusion.entries())
    shown(LEFT, y + 48 + 20 * i, { from: CONCLUSION_MS, until: length, text })
  y += 48 + 20 * conclusion.length
  body.push(
    `<text x="${LEFT}" y="${y + 2}" class="m">Time is simulated; the model, its answers, the pool and the memory are real.</text>`,
  )
  body.push(`<text x="${WIDTH - LEFT}" y="${y + 2}" class="code e good">npx approxifer demo</text>`)
  const height = y + 16
  const style = `${CSS}.bar{animation-name:bar}@keyframes bar{from{transform:scaleX(0)}}:root{--d:${length / 1000}s}${[...rules.values()].join('')}`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="title desc">`,
    `<title id="title">Nine machines read digits: one hangs, one lies, one dies</title><desc id="desc">${escaped(conclusion.join(' '))}</desc>`,
    `<style>${style}</style><defs>`,
    `<g id="w"><rect x="-1" y="-1" width="20" height="20" rx="4" class="ring"/><text x="-7" y="14" class="late e">late</text></g>`,
    ...[...digits]
      .sort((a, b) => a - b)
      .map(
        (digit) =>
          `<g id="d${digit}"><rect width="${TILE}" height="${TILE}" rx="3" class="tile"/><path class="ink" d="${outline(images[digit])}"/></g>`,
      ),
    `</defs><rect width="${WIDTH}" height="${height}" class="bg"/>`,
    `<text x="${LEFT}" y="38" class="h">Nine machines read digits. One hangs, one lies, one dies.</text>`,
    `<text x="${LEFT}" y="60" class="m">approxifer, a library and a server, stands between callers and the machines that run your model.</text>`,
    ...body,
    '</svg>\n',
  ].join('\n')
}

/** When the caller had an answer whose query this is. */
function answerTo({ given }: Band, { digits: [digit], began }: FilmCall): number | undefined {
  return given.find((each) => each.digit === digit && each.at > began)?.at
}

/** How long an answer of the memory is seen. */
const MEMORY_MS = 700

function lane(y: number, name: string): string {
  return `<path d="M${LEFT} ${y + 0.5}H${WIDTH - LEFT}" class="line"/><rect x="${MACHINES}" y="${y + 3}" width="84" height="${LANE - 5}" rx="4" class="box"/><text x="${MACHINES + 42}" y="${y + 15}" class="s c">${name}</text>`
}

function since(ms: number): string {
  return ` style="--s:${round(ms / 1000, 3)}s"`
}

/** The pixels of a square image that are more than half white, as runs. */
function outline(image: Float32Array): string {
  const side = Math.sqrt(image.length)
  const size = TILE / side
  const at = (pixels: number) => round(pixels * size, 1)
  const runs: string[] = []
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const begin = column
      while (column < side && image[row * side + column] > 0.45) column++
      if (column > begin) runs.push(`M${at(begin)} ${at(row)}h${at(column - begin)}v.7h-${at(column - begin)}`)
    }
  }
  return runs.join('')
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
