// A visitor of the film's page, in the page itself, so that it comes to every browser: it breaks machines by click and key, draws a digit, looks at
// lanes, and has axe look at all. What it saw goes to the server as JSON.

const seen = { errors: [] }
for (const kind of ['error', 'unhandledrejection', 'securitypolicyviolation']) {
  addEventListener(kind, ({ message, reason, violatedDirective, blockedURI }) => {
    seen.errors.push(String(message ?? reason ?? `${violatedDirective} ${blockedURI}`))
  })
}
const { error } = console
console.error = (...words) => {
  seen.errors.push(words.join(' '))
  error(...words)
}

const find = (selector) => document.querySelector(selector)
const lane = (band, machine) => find(`${band} .machines li:nth-child(${machine})`)
const stateOf = (band, machine) => lane(band, machine).querySelector('.state').textContent

/** @returns milliseconds until the condition holds */
async function until(what, condition, most = 120_000) {
  const since = performance.now()
  while (!condition()) {
    if (performance.now() - since > most) throw new Error(`not within ${most} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return performance.now() - since
}

const press = (key) => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))

function click(machine, text) {
  lane('#plain', machine).querySelector('.name').click()
  const { children } = lane('#plain', machine).querySelector('.faults')
  for (const button of children) if (button.textContent === text) button.click()
}

/** Lanes of a band's picture in which a digit is seen: white pixels. */
function lanesWithDigits(band, count) {
  const canvas = find(`${band} .field canvas`)
  const { data, width, height } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
  const found = new Set()
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = 4 * (y * width + x)
      const isTile = data[at] < 80 && data[at + 1] < 80 && data[at + 2] < 80 && data[at + 3] === 255
      if (isTile && data[at + 4] > 240 && data[at + 5] > 240 && data[at + 6] > 240)
        found.add(Math.floor((y / height) * count))
    }
  }
  return found
}

/** @returns how many frames are drawn in half a second in which nobody sees the page */
async function framesHidden() {
  const hide = (value) => {
    Object.defineProperty(document, 'hidden', { value, configurable: true })
    document.dispatchEvent(new Event('visibilitychange'))
  }
  const { film } = globalThis
  hide(true)
  await new Promise((resolve) => setTimeout(resolve, 250)) // what was asked for comes
  const before = film.frames
  await new Promise((resolve) => setTimeout(resolve, 500))
  const drawn = film.frames - before
  hide(false)
  await until('it plays again', () => film.frames > before + 5)
  return drawn
}

async function visit() {
  await until('it begins', () => !find('#pause').disabled)
  seen.isDark = matchMedia('(prefers-color-scheme: dark)').matches
  seen.width = innerWidth
  seen.overflow = document.documentElement.scrollWidth - innerWidth
  seen.tookMs = {}
  const took = async (name, machine, word, act) => {
    act()
    seen.tookMs[name] = await until(name, () => stateOf('#plain', machine) === word && stateOf('#ours', machine) !== '')
  }
  await took('slow by click', 1, 'slow', () => click(1, 'slow'))
  await took('kill by click', 4, 'dead', () => click(4, 'kill'))
  await took('lie by click', 5, 'lies', () => click(5, 'lie'))
  await took('hang by click', 9, 'hangs', () => click(9, 'hang'))
  const pressed = [...document.querySelectorAll('.faults [aria-pressed=true]')].map(({ ariaLabel }) => ariaLabel)
  seen.pressed = pressed.filter((label) => /[1459]$/.test(label))
  find('#heal').click()
  await until('all are well', () => [1, 4, 5, 9].every((machine) => stateOf('#plain', machine) === ''))
  for (const [machine, key, word] of [
    [1, 's', 'slow'],
    [4, 'k', 'dead'],
    [5, 'l', 'lies'],
    [9, 'h', 'hangs'],
  ]) {
    await took(`${word} by key`, machine, word, () => [String(machine), key].map(press))
  }
  press('0')
  const [above, below] = [new Set(), new Set()]
  const union = (set, more) => more.forEach((each) => set.add(each))
  await until('digits in the lanes', () => {
    union(above, lanesWithDigits('#plain', 9))
    union(below, lanesWithDigits('#ours', 10))
    return above.size > 6 && below.size > 6
  })
  for (const band of ['#plain', '#hand'])
    await until(`wrong answers in ${band}`, () => find(`${band} .wrong`).children.length > 1)
  seen.wrongBelow = find('#ours .wrong').textContent
  await until('the liar is out', () => stateOf('#ours', 6) === 'lied: out')
  seen.framesHidden = await framesHidden()
  await fetch('/drawing', { method: 'POST' })
  find('#sample').click()
  await until('the digit is answered', () => / after /.test(find('#said').textContent))
  seen.said = find('#said').textContent
  seen.table = find('#table').textContent
  for (const key of ['1', 'l', '2', 'l']) press(key)
  await until('the warning', () => find('#warning').textContent.includes('more than the 1 it is set for'))
  const script = document.createElement('script')
  script.src = '/axe.js'
  document.head.append(script)
  await new Promise((resolve) => script.addEventListener('load', resolve))
  const { violations } = await globalThis.axe.run(document)
  seen.axe = violations.map(({ id, impact, nodes }) => `${impact}: ${id} ${nodes.map(({ html }) => html).join(' ')}`)
}

addEventListener('DOMContentLoaded', async () => {
  await visit().catch(({ message, stack }) => seen.errors.push(`${message} ${stack}`))
  await fetch('/seen', { method: 'POST', body: JSON.stringify(seen) })
})
