/**
 * A visitor of the page in examples/browser, as a script of that page, since not every browser can be driven from outside: draws a 7, writes
 * every digit by its key and its button, and sends what the page answers, and its errors, to the URL in the page's address behind the question mark.
 */

const report = location.search.slice(1)
const errors = []
console.error = (...parts) => errors.push(parts.join(' '))
// In the capture phase, which also tells of files that did not load.
addEventListener('error', ({ message, target }) => errors.push(message ?? `${target.outerHTML} did not load`), true)
addEventListener('unhandledrejection', ({ reason }) => errors.push(String(reason)))
// Browsers capture pointers of real devices only.
Element.prototype.setPointerCapture = () => {}

const $ = (selector) => document.querySelector(selector)

async function until(check) {
  while (!check()) await new Promise((resolve) => setTimeout(resolve, 20))
}

/** The digit that the page shows, and its words, once it answers what `act` does. */
async function answerTo(act) {
  $('#digit').textContent = $('#how').textContent = ''
  act()
  await until(() => $('#how').textContent)
  return { digit: $('#digit').textContent, how: $('#how').textContent }
}

function draw(...corners) {
  const { left, top, width, height } = $('#pad').getBoundingClientRect()
  const send = (type, [x, y]) => {
    const where = { clientX: left + x * width, clientY: top + y * height, isPrimary: true, bubbles: true }
    $('#pad').dispatchEvent(new PointerEvent(type, where))
  }
  send('pointerdown', corners[0])
  corners.slice(1).forEach(([x, y], i) => {
    const [fromX, fromY] = corners[i]
    for (let step = 0; step <= 1; step += 0.1)
      send('pointermove', [fromX + (x - fromX) * step, fromY + (y - fromY) * step])
  })
  send('pointerup', corners.at(-1))
}

async function visit() {
  await until(() => /^(Ready|No digit)/.test($('#how')?.textContent))
  const drawn = await answerTo(() => draw([0.28, 0.22], [0.72, 0.2], [0.45, 0.85]))
  const [keys, buttons] = [[], []]
  for (const key of '0123456789') {
    keys.push(await answerTo(() => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))))
    buttons.push(await answerTo(() => $(`#samples button:nth-child(${Number(key) + 1})`).click()))
  }
  return { drawn, keys, buttons }
}

addEventListener('load', async () => {
  await fetch(report, { mode: 'no-cors' })
  const seen = await visit().catch((error) => errors.push(String(error)))
  await fetch(report, { method: 'POST', mode: 'no-cors', body: JSON.stringify({ ...seen, errors }) })
})
