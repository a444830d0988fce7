// Programs that some tests run against, and that npm does not have; run as a script, installs them where it can.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { pathToFileURL } from 'node:url'

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

const programs = [
  { what: 'Chromium', for: 'tests in it', find: findChromium, debian: ['chromium'], variable: 'CHROMIUM' },
  { what: 'Firefox', for: 'tests in it', find: findFirefox, debian: ['firefox-esr'], variable: 'FIREFOX' },
  {
    what: 'WebKitGTK with Xvfb',
    for: 'tests in it',
    find: findWebKit,
    debian: ['libwebkit2gtk-4.1-0', 'xvfb', 'xauth'],
    variable: 'WEBKIT',
  },
  { what: 'nats-server', for: 'tests over NATS', find: findNats, debian: ['nats-server'], variable: 'NATS_SERVER' },
  { what: 'promtool', for: 'tests of alert rules', find: findPromtool, debian: ['promtool'], variable: 'PROMTOOL' },
  {
    what: 'Python with onnxruntime',
    for: 'tests against a server in Python',
    find: findPython,
    debian: ['python3-onnxruntime', 'python3-numpy'],
    variable: 'PYTHON',
  },
]

function install(names) {
  console.log(`Installing Debian's ${names.join(', ')} for the tests ...`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const options = ['-o', 'DPkg::Lock::Timeout=600'] // another installation may be under way
  const apt = (...args) =>
    execFileSync('apt-get', [...options, ...args], { env, stdio: ['ignore', 'ignore', 'inherit'] })
  apt('update')
  apt('install', '-y', '--no-install-recommends', ...names)
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const missing = programs.filter(({ find }) => !find())
  const debianRoot = process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')
  if (missing.length && debianRoot) install(missing.flatMap(({ debian }) => debian))
  for (const { what, for: tests, find, debian, variable } of missing) {
    if (find()) continue
    const how = `${what} is missing: install it (Debian: apt-get install ${debian.join(' ')}) or set ${variable} to its path`
    console.log(process.env.CI ? `${how}.` : `${how}. The ${tests} are left out.`)
    process.exitCode = process.env.CI ? 1 : 0
  }
}
