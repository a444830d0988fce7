// What the recipe for workerd answers, in a Web Worker.
import handler from './main.js'

handler
  .fetch()
  .then((response) => response.text())
  .then(postMessage)
