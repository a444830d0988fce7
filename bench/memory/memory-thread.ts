/**
 * npm run bench -- memory-thread [--json]: a lookup in a memory of 1,000 digits, in this thread and in one of its own, with one and with sixteen
 * under way: how long it holds the event loop (processor time of this thread), and how long its answer takes, on the clock. Checked first: both say
 * the same. Three rounds in turns, medians. Needs `npm run data`.
 */

import { criterionOf } from '../../src/base/criterion'
import { table } from '../../src/cli/table'
import { loadCore } from '../../src/core/load'
import { median } from '../shared/measure'
import { dataOf } from '../shared/models'
import { threadTime } from '../shared/thread-time'

const PAIRS = 1000
const LOOKUPS = 2000
const ROUNDS = 3

// As it is built, which is what users run.
const built = <T>(path: string) => import(new URL(`../../dist/${path}.js`, import.meta.url).href) as Promise<T>
const { MemoryThread } = await built<typeof import('../../src/memory/thread')>('memory/thread')
const { InlineMemory, SHARED_THREAD } = await built<typeof import('../../src/memory/inline')>('memory/inline')
const { Experience } = await built<typeof import('../../src/memory/experience')>('memory/experience')
const { platform } = await built<typeof import('../../src/platform/node')>('platform.node')

const clock = {
  now: () => performance.now(),
  after: (ms: number, f: () => void) => {
    const timer = setTimeout(f, ms)
    return () => clearTimeout(timer)
  },
}

interface Figures {
  holdUs: number
  medianUs: number
  p99Us: number
}

export default async function memoryThread(json: boolean): Promise<void> {
  const { inputs, answers, signature } = await dataOf('mnist-lenet')
  const criterion = criterionOf(signature.outputs)
  const core = await loadCore()
  const plan = { core: core.kind, signature, criterion, memory: {}, learned: undefined }
  const warn = (text: string) => console.warn(text)
  const experience = new Experience(core, signature, { criterion, warn })
  const near = new InlineMemory(experience, { clock, shares: { ...SHARED_THREAD, lookups: 1, cold: 1, warm: 1 }, warn })
  const far = new MemoryThread(clock, (onDeath) => platform.spawn(undefined, onDeath)).open(plan, warn, warn)
  for (const memory of [near, far])
    for (let i = 0; i < PAIRS; i++) {
      while (!memory.learn({ query: () => inputs[i], own: answers[i], from: undefined, spread: [] }, 0))
        await new Promise((resolve) => setTimeout(resolve, 1))
    }
  await Promise.all([near.take(), far.take()])
  const query = (i: number) => inputs[PAIRS + (i % (inputs.length - PAIRS))]
  for (let i = 0; i < 20; i++) {
    const said = near.lookUp(query(i), [])
    const other = await new Promise((resolve) => far.recall(() => query(i), [], 1000, resolve))
    if (JSON.stringify(said) !== JSON.stringify(other)) throw new Error('the two say different things')
  }
  const inline = (): Figures => {
    const times: number[] = []
    const before = threadTime()
    for (let i = 0; i < LOOKUPS; i++) {
      const start = performance.now()
      near.lookUp(query(i), [])
      times.push(performance.now() - start)
    }
    return figuresOf(times, threadTime() - before)
  }
  const threaded = (atOnce: number) => async (): Promise<Figures> => {
    const times: number[] = []
    let next = 0
    const before = threadTime()
    const caller = async () => {
      while (next < LOOKUPS) {
        const start = performance.now()
        await new Promise((resolve) => far.recall(() => query(next++), [], 1000, resolve))
        times.push(performance.now() - start)
      }
    }
    await Promise.all(Array.from({ length: atOnce }, caller))
    return figuresOf(times, threadTime() - before)
  }
  const cells = { 'in this thread': inline, 'in its own, 1 under way': threaded(1), '16 under way': threaded(16) }
  const rounds: Record<string, Figures[]> = {}
  for (let round = 0; round <= ROUNDS; round++)
    for (const [name, run] of Object.entries(cells)) {
      const figures = await run()
      if (round) (rounds[name] ??= []).push(figures) // the first one is of code that is not compiled yet
    }
  far.close()
  if (json) return console.log(JSON.stringify(rounds))
  const out = table(['a lookup, microseconds', 'holds the loop', 'answered: median', 'p99'])
  const figure = (of: Figures[], what: keyof Figures) => median(of.map((each) => each[what])).toFixed(0)
  for (const [name, of] of Object.entries(rounds))
    out.push([name, figure(of, 'holdUs'), figure(of, 'medianUs'), figure(of, 'p99Us')])
  console.log(out.toString())
}

function figuresOf(times: number[], heldMs: number): Figures {
  times.sort((a, b) => a - b)
  const at = (share: number) => 1000 * times[Math.floor(share * (times.length - 1))]
  return { holdUs: (1000 * heldMs) / LOOKUPS, medianUs: at(0.5), p99Us: at(0.99) }
}
