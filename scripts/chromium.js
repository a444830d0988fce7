// Finds a Chromium for the browser tests; run as a script, installs it where it can.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { pathToFileURL } from 'node:url'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome']
const PLACES = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
]

/** Path of a Chromium or Chrome, or undefined. The variable CHROMIUM overrides the search. */
export function findChromium() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM
  const inPath = (process.env.PATH ?? '').split(delimiter).flatMap((folder) => NAMES.map((name) => join(folder, name)))
  return [...inPath, ...PLACES].find(existsSync)
}

function install() {
  console.log('Installing Chromium (Debian package chromium) for the browser tests ...')
  const apt = (...args) => execFileSync('apt-get', args, { stdio: ['ignore', 'ignore', 'inherit'] })
  apt('update')
  apt('install', '-y', '--no-install-recommends', 'chromium')
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href && !findChromium()) {
  const debianRoot = process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')
  if (debianRoot) install()
  if (!findChromium()) {
    const what = 'Chromium is missing: install it (Debian: apt-get install chromium) or set CHROMIUM to its path'
    console.log(process.env.CI ? `${what}.` : `${what}. The browser tests are left out.`)
    process.exitCode = process.env.CI ? 1 : 0
  }
}
