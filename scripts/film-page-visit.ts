/**
 * npm run film:visit: what the film's live page costs, in Chromium, and its pictures in docs/. For a minute the film plays nine times as fast as it
 * should: 200 answers a second. Printed are the time that scripts take of a core, on the page's thread and in the simulation's worker, the longest
 * task, and frames a second. With --pictures only the pictures are taken.
 */

import { availableParallelism, loadavg } from 'node:os'
import { type CDPSession, chromium } from 'playwright-core'
import { serve } from '../test/shared/served-folder'
import { buildPage } from './film-page'
import { findChromium } from './programs.js'

const FOLDER = 'build/film'
const [SPEED, SECONDS] = [9, 60]
/** Of the pictures: the film's seconds at which each is taken. */
const PICTURES = [
  { name: 'film-page', width: 1180, height: 930, colorScheme: 'light', at: 6.2 },
  { name: 'film-page-dark', width: 1180, height: 930, colorScheme: 'dark', at: 10 },
  { name: 'film-page-phone', width: 390, height: 1610, colorScheme: 'light', at: 6.2 },
  { name: 'film-page-phone-dark', width: 390, height: 1610, colorScheme: 'dark', at: 10 },
] as const

const QUIET = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking']

await buildPage(FOLDER)
const { url, close } = await serve(FOLDER)
const browser = await chromium.launch({ executablePath: findChromium(), args: QUIET })
try {
  for (const { name, width, height, colorScheme, at } of PICTURES) {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme })
    await page.goto(url)
    const isAt = (share: number) =>
      Number(/[\d.]+/.exec(document.getElementById('time')?.style.transform ?? '')?.[0] ?? 0) >= share
    await page.waitForFunction(isAt, at / 12, { polling: 20 })
    await page.screenshot({ path: `docs/${name}.png`, fullPage: true })
    await page.close()
  }
  if (!process.argv.includes('--pictures')) await measure()
} finally {
  await browser.close()
  close()
}

async function measure(): Promise<void> {
  const page = await browser.newPage({ viewport: { width: 1180, height: 930 } })
  const session = await page.context().newCDPSession(page)
  await session.send('Performance.enable')
  const scripting = async () => {
    const { metrics } = await session.send('Performance.getMetrics')
    const of = (wanted: string) => metrics.find(({ name }) => name === wanted)?.value ?? 0
    return { script: of('ScriptDuration'), task: of('TaskDuration') }
  }
  /** Of the page's process: of its worker, too. */
  const processes = await browser.newBrowserCDPSession()
  const cpu = async () => {
    const { processInfo } = await processes.send('SystemInfo.getProcessInfo')
    return processInfo.filter(({ type }) => type === 'renderer').reduce((sum, { cpuTime }) => sum + cpuTime, 0)
  }
  await page.goto(`${url}?speed=${SPEED}`)
  await page.waitForFunction(() => !(document.getElementById('pause') as HTMLButtonElement).disabled)
  const counts = () =>
    page.evaluate(() => {
      const { film } = globalThis as unknown as { film: { frames: number; answers: number } }
      return { ...film, at: performance.now() }
    })
  const tasks = await traced(processes)
  const [before, script, used] = [await counts(), await scripting(), await cpu()]
  await page.waitForTimeout(1000 * SECONDS)
  const [after, scriptNow, usedNow] = [await counts(), await scripting(), await cpu()]
  const seconds = (after.at - before.at) / 1000
  const share = (value: number) => (value / seconds).toFixed(3)
  console.log(`${((after.answers - before.answers) / seconds).toFixed(0)} answers a second for ${seconds.toFixed(0)} s`)
  console.log(
    `the page's thread: scripts ${share(scriptNow.script - script.script)} of a core, all tasks ${share(scriptNow.task - script.task)}`,
  )
  console.log(`its process, with the simulation's worker: ${share(usedNow - used)} of a core`)
  for (const [name, times] of Object.entries(await tasks())) {
    const long = times.filter((ms) => ms > 50).length
    console.log(
      `tasks of the page's thread above 50 ms, by ${name}: ${long} of ${times.length}, the longest ${Math.max(...times).toFixed(0)} ms`,
    )
  }
  console.log(`load average ${loadavg()[0].toFixed(1)} on ${availableParallelism()} cores`)
  console.log(`${((after.frames - before.frames) / seconds).toFixed(1)} frames a second`)
}

interface TraceEvent {
  readonly name: string
  readonly ph: string
  readonly pid: number
  readonly tid: number
  readonly dur?: number
  readonly tdur?: number
  readonly args: { readonly name?: string }
}

/**
 * Traces the tasks of pages. A task may last long since other programs have the processor: its processor time tells.
 *
 * @returns what ends it, and gives the tasks' times in milliseconds
 */
async function traced(session: CDPSession): Promise<() => Promise<Record<'processor time' | 'the clock', number[]>>> {
  const events: TraceEvent[] = []
  session.on('Tracing.dataCollected', ({ value }) => events.push(...(value as unknown as TraceEvent[])))
  const complete = new Promise<unknown>((resolve) => session.once('Tracing.tracingComplete', resolve))
  await session.send('Tracing.start', { traceConfig: { includedCategories: ['toplevel'] } })
  return async () => {
    await session.send('Tracing.end')
    await complete
    const threadOf = ({ pid, tid }: TraceEvent) => `${pid} ${tid}`
    const named = events.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain')
    const pages = new Set(named.map(threadOf))
    const tasks = events.filter((each) => each.ph === 'X' && each.name.endsWith('RunTask') && pages.has(threadOf(each)))
    return {
      'processor time': tasks.map(({ tdur = 0 }) => tdur / 1000),
      'the clock': tasks.map(({ dur = 0 }) => dur / 1000),
    }
  }
}
