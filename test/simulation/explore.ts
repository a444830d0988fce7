/**
 * npm run explore -- [DEPTH]: every order of up to so many events (12 unless told otherwise) in worlds of five workers, one of which may lie,
 * with workers that die, leave and come back under their own name or another, failures, callers who leave and deadlines; each state once.
 * Prints how many there were, and the branches of the decisions that were never taken, each with its reason. Ends with 1 where a lie was
 * `exact`, an honest worker ejected, a query without an end, or a branch without a reason.
 */

import { createHash } from 'node:crypto'
import { Session } from 'node:inspector/promises'
import type { Reading } from './canonical'
import { opened } from './opened'
import { timed, timeless } from './small-state'
import type { Choices, Most } from './small-world'
import { plain, reached, reasonOf } from './unreached'

/** Where it is decided. */
const DECISIONS = ['layers/limit', 'layers/agree', 'layers/hedge', 'layers/pool-service', 'service', 'trust/acceptance', 'trust/equality', 'trust/reputation', 'trust/scales', 'trust/evidence', 'pool/roster'] // biome-ignore format: one line

/** Events from which on all that is said to be out of reach is. */
const DEEP = 12

/** What happens at most so often. Everything at once has seven times as many states with every event more. */
export const SCOPES: Record<string, Most> = {
  'a liar that comes back': { ask: 2, lie: 2, leave: 1, rename: 1 },
  'failures and deaths': { ask: 1, lie: 1, fail: 1, die: 1, leave: 1 },
  'callers who leave': { ask: 2, lie: 1, abort: 1, fail: 1 },
  'hangs and deadlines': { ask: 2, lie: 1, wait: 4 },
  'all at once': { ask: 3, lie: 2, fail: 1, die: 1, leave: 2, rename: 1, abort: 1, wait: 3 },
}

export interface Explored {
  states: number
  /** Of the states first reached by so many events. */
  byDepth: number[]
  /** Events that were tried. */
  steps: number
  broken: { path: string[]; what: string }[]
  /** All verdicts, and endings of queries. */
  told: Set<string>
}

export interface Exploring extends Choices {
  /** What decides nothing. `paths`: each path is taken for a state of its own. */
  reading?: Reading | 'paths'
  /** Told of each path, and where it leads. */
  met?(path: readonly string[], world: InstanceType<typeof SmallWorld>): void
}

const { SmallWorld, Reputation } = await opened<typeof import('./small-world')>('test/simulation/small-world.ts')

export { Reputation, SmallWorld }

type World = InstanceType<typeof SmallWorld>

/**
 * Depth first: a world goes on with the first event of each state; for every other one its path is run anew, since what is real cannot be
 * copied. That everybody may come home is tried in the states of the last depth: in those before the events of coming home are among theirs.
 */
export async function explore(depth: number, exploring: Exploring): Promise<Explored> {
  const exploration = new Exploration(depth, exploring)
  await exploration.visit([], await exploration.after([]))
  exploration.explored.broken.sort((a, b) => a.path.length - b.path.length)
  return exploration.explored
}

class Exploration {
  readonly explored: Explored
  readonly #depth: number
  readonly #exploring: Exploring
  readonly #reading: Reading | 'paths'
  /** By how many events each state was reached. */
  readonly #seen = new Map<string, number>()

  constructor(depth: number, exploring: Exploring) {
    this.#depth = depth
    this.#exploring = exploring
    this.#reading = exploring.reading ?? (exploring.most.wait ? timed : timeless)
    this.explored = { states: 0, byDepth: Array(depth + 1).fill(0), steps: 0, broken: [], told: new Set() }
  }

  async after(path: readonly string[]): Promise<World> {
    const world = await SmallWorld.start(this.#exploring)
    for (const event of path) await world.happen(event)
    return world
  }

  async visit(path: string[], world: World): Promise<void> {
    const { explored } = this
    explored.steps++
    for (const what of world.told) explored.told.add(what)
    this.#exploring.met?.(path, world)
    if (!this.#isNew(path, world)) return this.#end(path, world)
    const events = path.length < this.#depth ? world.events : []
    if (!events.length) return this.#end(path, world, true)
    if (world.isStuck) await this.#end(path, await this.after(path), true)
    if (this.#reading === 'paths') await this.#end(path, await this.after(path)) // as where a state is known already
    for (const [i, event] of events.entries()) {
      const own = i ? await this.after(path) : world
      await own.happen(event)
      await this.visit([...path, event], own)
    }
  }

  /** Whether this is a state that was not reached by as few events before. */
  #isNew(path: string[], world: World): boolean {
    const { length } = path
    const state = this.#reading === 'paths' ? path.join() : digest(world.state(this.#reading))
    const before = this.#seen.get(state)
    if (before !== undefined && before <= length) return false
    this.#seen.set(state, length)
    if (before !== undefined) return true
    this.explored.byDepth[length]++
    this.explored.states++
    return true
  }

  async #end(path: string[], world: World, isHome = false): Promise<void> {
    if (isHome) await world.finish()
    await world.close()
    for (const what of world.broken) this.explored.broken.push({ path, what })
  }
}

const digest = (text: string) => createHash('md5').update(text).digest('base64')

if (process.argv[1]?.endsWith('explore.ts'))
  await main(process.argv[2] ? Number(process.argv[2]) : 12, process.argv[3], process.argv[4] === 'paths')

async function main(depth: number, only = '', isEach = false): Promise<void> {
  const session = await counting()
  let broken = 0
  for (const [name, most] of Object.entries(SCOPES)) {
    if (!name.includes(only)) continue
    const { user } = process.cpuUsage()
    const explored = await explore(name === 'all at once' ? Math.min(depth, 4) : depth, {
      most,
      ...(isEach && { reading: 'paths' as const }),
    })
    const seconds = Math.round((process.cpuUsage().user - user) / 1e6)
    broken += explored.broken.length
    console.log(`${name}: ${explored.states} states by ${explored.steps} events, depth ${explored.byDepth.length - 1}, ${explored.broken.length} broken promises, ${seconds} s`) // biome-ignore format: one line
    console.log(`  first reached by 0, 1, ... events: ${explored.byDepth.join(' ')}`)
    console.log(`  verdicts and endings: ${[...explored.told].sort().join(', ')}`)
    for (const { path, what } of explored.broken.slice(0, 5)) console.log(`  ${what}: ${path.join(', ')}`)
  }
  const untaken = await branchesOf(session)
  console.log(`${untaken.length} branches of ${DECISIONS.join(', ')} were never taken:`)
  for (const line of untaken) console.log(`  ${line}\n    ${reasonOf(line) ?? 'NO REASON'}`)
  const unexplained = untaken.filter((line) => !reasonOf(line))
  const wrong = depth < DEEP ? [] : reached(untaken)
  for (const line of wrong) console.log(`  is reached, and said not to be: ${line}`)
  console.log(
    `${broken} broken promises, ${unexplained.length} branches without a reason, ${wrong.length} reasons too many`,
  )
  if (broken + unexplained.length + wrong.length) process.exitCode = 1
}

/** From here on it is counted which code runs. */
async function counting(): Promise<Session> {
  const session = new Session()
  session.connect()
  await session.post('Debugger.enable')
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  return session
}

/** The first line of each block that did not run since this was asked last. */
async function branchesOf(session: Session): Promise<string[]> {
  const { result } = await session.post('Profiler.takePreciseCoverage')
  const world = result.find(({ url }) => url.endsWith('/world.mjs'))
  if (!world) return []
  const { scriptSource } = await session.post('Debugger.getScriptSource', { scriptId: world.scriptId })
  const ends = [...scriptSource.matchAll(/globalThis\["src\/(\S+?)\.ts"\]/g)].map(({ 1: name, index }) => ({
    name,
    index,
  }))
  const lines: string[] = []
  for (const { functionName, ranges } of world.functions) {
    for (const { count, startOffset, endOffset } of ranges) {
      const file = ends.find(({ index }) => index > startOffset)?.name ?? ''
      if (count || !DECISIONS.includes(file)) continue
      const [first] = scriptSource.slice(startOffset, endOffset).trim().split('\n')
      lines.push(plain(`${file} ${functionName}: ${first.slice(0, 100)}`))
    }
  }
  return lines
}
