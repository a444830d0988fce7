/**
 * npm run explore -- [DEPTH]: every order of up to so many events (12 unless told otherwise) in a world of five workers, one of which may lie,
 * with workers that leave and come back, failures and a caller who leaves; each state once. Prints how many there were, and the branches of
 * the decisions that were never taken, each with its reason. Ends with 1 where a lie was `exact`, an honest worker ejected, a query without an
 * end, or a branch without a reason.
 */

import { Session } from 'node:inspector/promises'
import { SmallWorld } from './small-world'
import { reached, reasonOf } from './unreached'

/** Where it is decided. */
const DECISIONS = ['query/policy', 'query/acceptance', 'query/equality', 'query/vote', 'query/asked', 'trust/reputation', 'trust/evidence', 'pool/roster'] // biome-ignore format: one line

/** Events from which on all that is said to be out of reach is. */
const DEEP = 12

export interface Explored {
  states: number
  /** Of the states first reached by so many events. */
  byDepth: number[]
  broken: { path: string[]; what: string }[]
}

/** A path is run anew for each state that it leads to: what is real cannot be copied. */
export async function explore(depth: number, told: (byDepth: number[]) => void = () => {}): Promise<Explored> {
  const seen = new Set<string>()
  const explored: Explored = { states: 0, byDepth: [], broken: [] }
  let paths: string[][] = [[]]
  for (let at = 0; at <= depth && paths.length; at++) {
    const next: string[][] = []
    explored.byDepth.push(0)
    for (const path of paths) {
      const world = await SmallWorld.start()
      for (const event of path) await world.happen(event)
      const { state } = world
      if (!seen.has(state)) {
        seen.add(state)
        explored.byDepth[at]++
        next.push(...world.events.map((event) => [...path, event]))
        await world.finish()
      }
      await world.close()
      for (const what of world.broken) explored.broken.push({ path, what })
    }
    told(explored.byDepth)
    paths = next
  }
  return { ...explored, states: seen.size }
}

if (process.argv[1]?.endsWith('explore.ts')) await main(Number(process.argv[2] ?? 12))

async function main(depth: number): Promise<void> {
  const session = new Session()
  session.connect()
  await session.post('Debugger.enable')
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  const { states, broken } = await explore(depth, (byDepth) => console.log(`depth ${byDepth.length - 1}: ${byDepth.at(-1)} states`)) // biome-ignore format: one line
  console.log(`${states} states, depth ${depth}, ${broken.length} broken promises`)
  for (const { path, what } of broken.slice(0, 5)) console.log(`  ${what}: ${path.join(', ')}`)
  const untaken = await branchesOf(session)
  console.log(`${untaken.length} branches of ${DECISIONS.join(', ')} were never taken:`)
  for (const line of untaken) console.log(`  ${line}\n    ${reasonOf(line) ?? 'NO REASON'}`)
  const unexplained = untaken.filter((line) => !reasonOf(line))
  const wrong = depth < DEEP ? [] : reached(untaken)
  for (const line of wrong) console.log(`  is reached, and said not to be: ${line}`)
  console.log(`${unexplained.length} of them without a reason, ${wrong.length} reasons too many`)
  if (broken.length + unexplained.length + wrong.length) process.exitCode = 1
}

/** The first line of each block that never ran. */
async function branchesOf(session: Session): Promise<string[]> {
  const { result } = await session.post('Profiler.takePreciseCoverage')
  const lines: string[] = []
  for (const { url, scriptId, functions } of result) {
    const file = DECISIONS.find((name) => url.endsWith(`/src/${name}.ts`))
    if (!file) continue
    const { scriptSource } = await session.post('Debugger.getScriptSource', { scriptId })
    for (const { functionName, ranges } of functions) {
      if (functionName === '<static_initializer>') continue // names of classes, by the compiler
      for (const { count, startOffset, endOffset } of ranges) {
        if (count) continue
        const [first] = scriptSource.slice(startOffset, endOffset).trim().split('\n')
        lines.push(`${file} ${functionName}: ${first.slice(0, 80)}`)
      }
    }
  }
  return lines
}
