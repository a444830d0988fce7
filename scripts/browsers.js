// A vitest provider of browsers. Each is an installed program that is started with the page's address; the page asks vitest's server for
// the rest. Nothing has to drive it: it takes no WebDriver, and no browser of a test library's own.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { defineBrowserProvider } from '@vitest/browser'
import { findChromium, findFirefox, findWebKit, versionIn } from './programs.js'

/** Also as root and in containers; asks nobody's servers; timers of a page in the background would be slow; WebGPU is computed by SwiftShader, wrongly. */
const CHROMIUM = [
  ...['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'],
  ...['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
  ...['--disable-background-timer-throttling', '--disable-renderer-backgrounding'],
]

/** No first tab of its own, which would put the page into the background; no question whether a long script shall go on. */
const FIREFOX = `
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("dom.max_script_run_time", 0);`

/** By vitest's names. The address goes to the end of the command. */
const BROWSERS = {
  chromium: {
    title: 'Chromium',
    find: findChromium,
    command: (path, home) => [path, ...CHROMIUM, `--user-data-dir=${home}`],
  },
  firefox: {
    title: 'Firefox',
    find: findFirefox,
    command: (path, home) => [path, '--headless', '--no-remote', '--profile', home],
  },
  webkit: {
    title: 'WebKitGTK',
    find: findWebKit,
    command: (path) => ['xvfb-run', '-a', path, '--private'], // it knows no headless mode
  },
}

/** Starts of a browser, and how long its page may take to ask for tests: only one that is stuck takes so long. */
const STARTS = 3
const START_MS = 120_000
/** From then on it is ended by force. */
const END_MS = 10_000
/** For vitest, whose limit counts from the first start on. */
export const connectTimeout = (STARTS + 1) * START_MS

export const installedBrowsers = Object.keys(BROWSERS).filter((name) => BROWSERS[name].find())

/** A browser's name and version, in its own words. */
export function browserVersion(name) {
  const { title, find, command } = BROWSERS[name]
  const [program, ...args] = command(find(), tmpdir())
  return [title, versionIn(spawnSync(program, [...args, '--version'], { encoding: 'utf8' }).stdout ?? '')]
}

/** How each is told that its user prefers dark pages. */
const DARK = {
  chromium: ['--blink-settings=preferredColorScheme=0'],
  firefox: '\nuser_pref("ui.systemUsesDarkTheme", 1);',
  webkit: { GTK_THEME: 'Adwaita:dark' },
}

/** Starts a browser, by vitest's name, that shows a page; its settings and caches are its own, and gone with it. */
export function startBrowser(name, url, isDark = false) {
  const { find, command } = BROWSERS[name]
  const home = mkdtempSync(join(tmpdir(), 'approxifer-browser-'))
  writeFileSync(join(home, 'user.js'), `${FIREFOX}${isDark ? DARK.firefox : ''}`)
  const [program, ...args] = command(find(), home)
  if (isDark && name === 'chromium') args.push(...DARK.chromium)
  const env = { ...process.env, HOME: home, TMPDIR: home, GDK_BACKEND: 'x11', ...(isDark && DARK.webkit) }
  const child = spawn(program, [...args, url], { env, detached: true, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  const hear = (text) => {
    said = `${said}${text}`.slice(-1000)
  }
  child.stderr.on('data', hear)
  child.on('error', hear)
  const isAlive = () => child.exitCode === null && child.signalCode === null
  const all = process.platform === 'win32' ? child.pid : -child.pid // with what it has started
  const kill = (signal) => isAlive() && process.kill(all, signal)
  const killNow = () => kill('SIGKILL')
  process.once('exit', killNow)
  return {
    isAlive,
    /** The end of its complaints. */
    said: () => said,
    async end() {
      kill('SIGTERM')
      const late = setTimeout(killNow, END_MS)
      if (isAlive()) await once(child, 'exit')
      clearTimeout(late)
      process.off('exit', killNow)
      rmSync(home, { recursive: true, maxRetries: 10 }) // what it has started may still write there
    },
  }
}

/** Whether the page asks for tests within the time. */
async function isOpened(browser, hasAsked) {
  const until = Date.now() + START_MS
  while (!hasAsked() && browser.isAlive() && Date.now() < until) await delay(50)
  return hasAsked()
}

/**
 * Opens a page in a browser.
 *
 * @param hasAsked  whether the page has asked its server for something
 * @param isDark    whether its user prefers dark pages
 * @throws if the page has not, however often the browser was started
 */
export async function openPage(name, url, hasAsked, isDark = false) {
  let said
  for (let start = 0; start < STARTS; start++) {
    const browser = startBrowser(name, url, isDark)
    if (await isOpened(browser, hasAsked)) return browser
    said = browser.said()
    await browser.end()
  }
  throw new Error(`${name} was started ${STARTS} times and did not open its page: ${said}`)
}

/** @param project  of vitest */
function providerOf({ browser: { state }, config: { browser } }) {
  let shown
  return {
    name: 'installed',
    supportsParallelism: false, // one page for all files
    getCommandsContext: () => ({}),
    async openPage(session, url) {
      await shown?.end()
      shown = undefined
      shown = await openPage(browser.name, url, () => state.orchestrators.has(session))
    },
    close: () => shown?.end(),
  }
}

export const installed = defineBrowserProvider({
  name: 'installed',
  supportedBrowser: Object.keys(BROWSERS),
  providerFactory: providerOf,
})
