/** The page of the film: it plays by itself, and a visitor may break machines and draw digits. */

import { type Fault, LENGTH_MS, MACHINES, SCRIPT, wordsOfAct } from '../../src/film/script'
import { Controls } from './controls'
import { colours, Lanes, Pictures } from './lanes'
import type { Order, Report } from './messages'
import { Pad } from './pad'
import { Scene, seconds, stateOf, warningOf, wordsOf } from './scene'

/** Between two orders to the simulation, and two frames; and how far frames are behind it, so that it is never waited for. */
const [ADVANCE_MS, FRAME_MS, BEHIND_MS] = [45, 30, 60]
/** Where motion is reduced, this moment stands still. */
const STILL_MS = 9200
const MOST_WRONG = 12

/** What happens by itself, and what is said of it. */
const STORY = [
  {
    at: 0,
    act: '',
    text: 'All is well: eleven digits a second, and each machine takes a quarter of a second for one.',
  },
  { at: SCRIPT[0].at, act: wordsOfAct(SCRIPT[0]), text: 'Machine 3 hangs. Callers of the plain queue wait for its time-out; for the others another machine answers, or the memory.' }, // biome-ignore format: a line each
  { at: SCRIPT[1].at, act: wordsOfAct(SCRIPT[1]), text: 'Machine 6 lies. A queue and a hedge hand out its wrong digits; approxifer catches them, and soon asks it no more.' }, // biome-ignore format: a line each
  { at: SCRIPT[2].at, act: wordsOfAct(SCRIPT[2]), text: 'Machine 8 is dead: it refuses queries. Some callers of the plain queue and the hedge get an error; of approxifer none.' }, // biome-ignore format: a line each
  { at: LENGTH_MS, act: '', text: 'It goes on as you like: break more machines, heal them, or draw a digit.' },
]

/** How many times as fast as real time it plays, by the address. */
const speed = Math.min(20, Number(new URLSearchParams(location.search).get('speed')) || 1)
const $ = <T extends HTMLElement>(selector: string) => document.querySelector(selector) as T

const simulation = new Worker('simulation.js', { type: 'module' })
const tell = (order: Order) => simulation.postMessage(order)

class BandView {
  readonly scene = new Scene()
  readonly lanes: Lanes
  readonly #numbers: HTMLElement[] = []
  readonly #states: HTMLElement[]
  readonly #wrong: HTMLElement
  readonly #waiting: HTMLElement

  constructor(root: HTMLElement, lanes: number, stopsLies: boolean) {
    for (const label of ['slowest in 10 s', 'wrong or no answer', 'inferences an answer']) {
      const group = document.createElement('div')
      const name = document.createElement('dt')
      const value = document.createElement('dd')
      name.textContent = label
      value.textContent = '–'
      group.append(name, value)
      root.querySelector('.numbers')?.append(group)
      this.#numbers.push(value)
    }
    this.#wrong = root.querySelector('.wrong') as HTMLElement
    this.#wrong.textContent = 'none'
    this.#waiting = root.querySelector('.waiting') as HTMLElement
    this.#states = [...root.querySelectorAll<HTMLElement>('.state')]
    this.lanes = new Lanes(root.querySelector('canvas') as HTMLCanvasElement, lanes, stopsLies)
  }

  update(now: number, report: Parameters<Scene['update']>[1]): void {
    const wrong = this.scene.update(now, report)
    for (const { digit, label } of wrong) this.#tray(digit, label)
  }

  /** Numbers and words: only what has changed. */
  write(): void {
    const { scene } = this
    const values = [seconds(scene.slowestMs), String(scene.wrong), scene.inferences.toFixed(2)]
    for (const [i, value] of values.entries()) put(this.#numbers[i], value)
    this.#numbers[0].classList.toggle('lie', scene.slowestMs >= 1000)
    this.#numbers[1].className = scene.wrong ? 'lie' : 'good'
    put(this.#waiting, `${scene.waiting} callers wait`)
    for (const [i, machine] of scene.machines.entries()) {
      put(this.#states[i], stateOf(machine))
      this.#states[i].classList.toggle('lie', machine.isEjected || machine.fault === 'lying')
    }
  }

  #tray(digit: number | undefined, label: number | undefined): void {
    if (!this.#wrong.children.length) this.#wrong.textContent = ''
    const item = document.createElement('span')
    const picture = document.createElement('img')
    picture.src = pictures?.urlOf(digit) ?? ''
    picture.alt = label === undefined ? 'a digit, not answered' : 'a digit, answered by'
    const text = document.createElement('b')
    text.textContent = String(label ?? '✗')
    item.append(picture, text)
    this.#wrong.append(item)
    while (this.#wrong.children.length > MOST_WRONG) this.#wrong.firstElementChild?.remove()
  }

  /** Of another film. */
  clear(): void {
    Object.assign(this, { scene: new Scene() })
    this.#wrong.textContent = 'none'
  }
}

/** Its band has a lane for the memory, and stops lies. */
function isOurs(root: HTMLElement): boolean {
  return root.id === 'ours'
}

function put(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text
}

for (const list of document.querySelectorAll('#hand .machines, #ours .machines')) {
  for (let machine = 0; machine < MACHINES; machine++) {
    const item = document.createElement('li')
    item.innerHTML = `<span class="name"><span class="long">machine </span>${machine + 1}</span><span class="state" aria-hidden="true"></span>`
    list.append(item)
  }
  if (!list.closest('#ours')) continue
  const memory = document.createElement('li')
  memory.innerHTML = '<span class="name memory"><span class="long">its </span>memory</span>'
  list.append(memory)
}
const controls = new Controls($('#plain .machines'), {
  machines: MACHINES,
  onChoose(machine) {
    for (const { lanes } of bands) lanes.chosen = machine
    draw()
  },
  onFault: fault,
})
const roots = [$('#plain'), $('#hand'), $('#ours')]
const bands = roots.map((root) => new BandView(root, MACHINES + Number(isOurs(root)), isOurs(root)))
let pictures: Pictures | undefined

/** Time of the film: what the simulation has reached, and what it was asked for. */
let [reached, asked] = [0, 0]
let isPending = false
/** Since when it plays, by the browser's clock, and from which time on; undefined: it stands still. */
let playing: { readonly since: number; readonly from: number } | undefined
let isBegun = false
let told = 0
const reduced = matchMedia('(prefers-reduced-motion: reduce)')
/** Whether it shall play once it has begun. */
let shallPlay = !reduced.matches

const time = () => (playing ? playing.from + speed * (performance.now() - playing.since) : asked)

function play(): void {
  shallPlay = true
  if (isBegun && !playing && !document.hidden) playing = { since: performance.now(), from: asked }
  put($('#pause'), 'Pause')
  requestAnimationFrame(frame)
}

function pause(isAsked = true): void {
  if (isAsked) shallPlay = false
  playing = undefined
  if (isAsked) put($('#pause'), 'Play')
}

function begin(): void {
  isBegun = false
  pause(false)
  for (const id of ['#pause', '#again', '#heal']) $<HTMLButtonElement>(id).disabled = true
  tell({ kind: 'begin' })
}

function again(): void {
  shallPlay = true
  begin()
}

function fault(machine: number, what: Fault | undefined): void {
  tell({ kind: 'fault', machine, fault: what })
  const did = { slow: 'is slow', hung: 'hangs', lying: 'lies', dead: 'is dead' }
  put($('#story'), `You: machine ${machine + 1} ${what ? did[what] : 'is well again'}.`)
  if (!playing) ask()
}

function healAll(): void {
  for (let machine = 0; machine < MACHINES; machine++) tell({ kind: 'fault', machine, fault: undefined })
  put($('#story'), 'You: all machines are well again. approxifer tries the liar first.')
  if (!playing) ask()
}

/** The simulation's next moment; also of a film that stands still, so that it shows what was done to it. */
function ask(): void {
  asked = Math.max(asked, time())
  isPending = true
  tell({ kind: 'advance', until: asked })
}

simulation.addEventListener('message', ({ data }: MessageEvent<Report>) => {
  if (data.kind === 'pictures') pictures = new Pictures(data.pictures)
  else if (data.kind === 'begun') begun()
  else if (data.kind === 'answered') {
    const { label } = data.given
    say(label === undefined ? '' : String(label), wordsOf(data.given))
  } else if (data.kind === 'failed') put($('#story'), `It failed: ${data.message}`)
  else {
    isPending = false
    if (!isBegun) return
    for (const [i, report] of data.bands.entries()) {
      bands[i].update(data.now, report)
      played.answers += report.given.length
    }
    reached = data.now
    for (const [machine, { fault }] of data.bands[0].machines.entries()) controls.show(machine, fault)
    for (const band of bands) band.write()
    put($('#warning'), warningOf(data.bands[2].machines))
    if (!playing) draw()
  }
})

function begun(): void {
  isBegun = true
  isPending = false
  ;[reached, asked, told] = [0, 0, 0]
  for (const id of ['#pause', '#again', '#heal']) $<HTMLButtonElement>(id).disabled = false
  for (const band of bands) band.clear()
  if (shallPlay) return play()
  for (asked = 0; asked < STILL_MS; asked += 200) tell({ kind: 'advance', until: asked })
  asked = STILL_MS
  ask()
  put($('#story'), 'It stands still, since you prefer little motion: here a moment after second 9.')
  told = STORY.length
  put($('#pause'), 'Play')
}

let drawnAt = 0
let lastFrame = Number.NEGATIVE_INFINITY
/** For who measures the page. */
const played = { frames: 0, answers: 0 }
Object.assign(globalThis, { film: played })

function frame(now: number): void {
  if (!playing) return
  requestAnimationFrame(frame)
  if (now - lastFrame < FRAME_MS) return
  lastFrame = now
  if (!isPending && time() - asked >= ADVANCE_MS) ask()
  draw()
}

function draw(): void {
  drawnAt = Math.min(reached, Math.max(drawnAt > reached ? 0 : drawnAt, time() - BEHIND_MS * speed))
  if (!playing) drawnAt = reached
  if (pictures) for (const { lanes, scene } of bands) lanes.draw(scene, drawnAt, pictures)
  played.frames++
  $('#time').style.transform = `scaleX(${Math.min(1, drawnAt / LENGTH_MS).toFixed(4)})`
  for (; told < STORY.length && STORY[told].at <= drawnAt; told++) put($('#story'), STORY[told].text)
}

for (const { at, act } of STORY) {
  if (!act) continue
  const mark = document.createElement('span')
  mark.innerHTML = `<span class="long">machine </span>${act.replace('machine ', '')}`
  mark.className = 'act'
  mark.style.left = `${(100 * at) / LENGTH_MS}%`
  $('#acts').append(mark)
}

/** For those who do not see the pictures. */
function table(): void {
  const cells = bands.map(({ scene }) =>
    Array.from({ length: MACHINES }, (_, i) => {
      const state = scene.machines[i] && stateOf(scene.machines[i])
      return `${state || 'well'}, ${scene.answered[i] ?? 0} answers`
    }),
  )
  const body = $('#table')
  for (let i = 0; i < MACHINES; i++) {
    const row = body.children[i] ?? body.appendChild(document.createElement('tr'))
    if (!row.children.length) row.innerHTML = `<th scope="row">${i + 1}</th>${'<td></td>'.repeat(cells.length)}`
    for (const [band, texts] of cells.entries()) put(row.children[band + 1] as HTMLElement, texts[i])
  }
}
table()
setInterval(() => document.hidden || table(), 1000)

// A digit that was drawn by hand.

let model: Worker | undefined
let drawn: Float32Array | undefined

function startModel(): void {
  if (model) return
  model = new Worker('model.js', { type: 'module' })
  model.addEventListener('error', ({ message }) => say('', `The model could not be loaded: ${message}`))
  model.addEventListener('message', ({ data }: MessageEvent<Float32Array | string>) => {
    if (typeof data === 'string') return say('', `The model failed: ${data}`)
    if (!drawn) return
    if (pictures) pictures.drawn = drawn
    if (!playing) say('', 'It is asked when the film plays.')
    tell({ kind: 'ask', image: drawn, answer: data })
  })
}

function say(digit: string, words: string): void {
  const said = $('#said')
  said.textContent = ''
  if (digit) said.append(Object.assign(document.createElement('b'), { textContent: digit }), ' ')
  said.append(words)
}

const pad = new Pad($('#pad'), startModel, (image) => {
  drawn = image
  say('', 'The machines are asked …')
  model?.postMessage(image)
})
$('#sample').addEventListener('click', () => {
  startModel()
  pad.draw([[85, 70], [195, 70], [130, 225]]) // biome-ignore format: one line
})

// What is asked of the whole film.

$('#pause').addEventListener('click', () => (playing ? pause() : play()))
$('#again').addEventListener('click', again)
$('#heal').addEventListener('click', healAll)
addEventListener('keydown', ({ key, ctrlKey, metaKey, altKey }) => {
  if (!isBegun || ctrlKey || metaKey || altKey) return
  if (key === 'p') $('#pause').click()
  else if (key === 'a') again()
  else if (key === '0') healAll()
})
document.addEventListener('visibilitychange', () => {
  if (document.hidden) pause(false)
  else if (shallPlay) play()
})
for (const [i, { lanes }] of bands.entries()) {
  const canvas = roots[i].querySelector('canvas') as HTMLCanvasElement
  new ResizeObserver(() => {
    lanes.fit()
    draw()
  }).observe(canvas)
  canvas.addEventListener('click', ({ offsetY }) => {
    const machine = Math.floor((offsetY / canvas.clientHeight) * (MACHINES + Number(isOurs(roots[i]))))
    if (machine < MACHINES) controls.choose(machine)
  })
}
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  for (const { lanes } of bands) lanes.colours = colours()
  draw()
})
begin()
