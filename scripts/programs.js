// Programs that some tests run against, and that npm does not have.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const CHROMIUM = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome']
const CHROMIUM_PLACES = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
]

const FIREFOX_PLACES = [
  '/Applications/Firefox.app/Contents/MacOS/firefox',
  'C:\\Program Files\\Mozilla Firefox\\firefox.exe',
]
/** Debian's, by architecture; Arch's; Fedora's. */
const WEBKIT_PLACES = ['lib/x86_64-linux-gnu', 'lib/aarch64-linux-gnu', 'lib', 'libexec'].map(
  (folder) => `/usr/${folder}/webkit2gtk-4.1/MiniBrowser`,
)

const inPath = (names) =>
  (process.env.PATH ?? '').split(delimiter).flatMap((folder) => names.map((name) => join(folder, name)))

/** Path of a Chromium or Chrome, or undefined. The variable CHROMIUM overrides the search. */
export function findChromium() {
  return process.env.CHROMIUM ?? [...inPath(CHROMIUM), ...CHROMIUM_PLACES].find(existsSync)
}

/** Path of a Firefox, or undefined. The variable FIREFOX overrides the search. */
export function findFirefox() {
  return process.env.FIREFOX ?? [...inPath(['firefox-esr', 'firefox']), ...FIREFOX_PLACES].find(existsSync)
}

/** Path of WebKitGTK's own small browser, or undefined, also where it lacks a screen. The variable WEBKIT overrides the search. */
export function findWebKit() {
  if (!['xvfb-run', 'xauth'].every((name) => inPath([name]).some(existsSync))) return undefined
  return process.env.WEBKIT ?? WEBKIT_PLACES.find(existsSync)
}

/** Path of a NATS server, or undefined. The variable NATS_SERVER overrides the search. */
export function findNats() {
  return process.env.NATS_SERVER ?? [...inPath(['nats-server']), '/usr/sbin/nats-server'].find(existsSync)
}

/** Path of promtool, which tests Prometheus' rules, or undefined. The variable PROMTOOL overrides the search. */
export function findPromtool() {
  return process.env.PROMTOOL ?? inPath(['promtool']).find(existsSync)
}

/** Path of a Python that has onnxruntime, or undefined. The variable PYTHON overrides the search. */
export function findPython() {
  const works = (path) => existsSync(path) && spawnSync(path, ['-c', 'import numpy, onnxruntime']).status === 0
  return process.env.PYTHON ?? ['/usr/bin/python3', ...inPath(['python3'])].find(works)
}

/** The version in what a program prints for --version. */
export const versionIn = (text) => /\d[\w.-]*/.exec(text)?.[0] ?? 'unknown'

/** Path of openssl, or undefined. */
export function findOpenssl() {
  return inPath(['openssl']).find(existsSync)
}

/** All of them, with what Debian and Homebrew call them; `inAll`: only tests of `npm run test:all` take it. */
export const programs = [
  { what: 'nats-server', for: 'tests over NATS', find: findNats, debian: ['nats-server'], brew: ['nats-server'], variable: 'NATS_SERVER' }, // biome-ignore format: one line
  { what: 'promtool', for: 'tests of alert rules', find: findPromtool, debian: ['promtool'], brew: ['prometheus'], variable: 'PROMTOOL' }, // biome-ignore format: one line
  { what: 'openssl', for: 'tests of certificates', find: findOpenssl, debian: ['openssl'], brew: ['openssl'] },
  { what: 'Chromium', for: 'tests in it', find: findChromium, debian: ['chromium'], brew: ['--cask', 'chromium'], variable: 'CHROMIUM', inAll: true }, // biome-ignore format: one line
  { what: 'Firefox', for: 'tests in it', find: findFirefox, debian: ['firefox-esr'], brew: ['--cask', 'firefox'], variable: 'FIREFOX', inAll: true }, // biome-ignore format: one line
  {
    what: 'WebKitGTK with Xvfb',
    for: 'tests in it',
    find: findWebKit,
    debian: ['libwebkit2gtk-4.1-0', 'xvfb', 'xauth'],
    variable: 'WEBKIT',
    inAll: true,
  },
  {
    what: 'Python with onnxruntime',
    for: 'tests against a server in Python',
    find: findPython,
    debian: ['python3-onnxruntime', 'python3-numpy'],
    variable: 'PYTHON',
    inAll: true,
  },
]
