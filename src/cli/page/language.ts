/** Before uPlot is loaded, which asks Intl for the browser's language: WebKitGTK in the locale C calls that 'C', which Intl refuses. */

const browser: Navigator = navigator
try {
  new Intl.NumberFormat(browser.language)
} catch {
  Object.defineProperty(browser, 'language', { value: 'en' })
}
