/**
 * npm run simulate:defects -- [NAME ...] [--keep | --kept]: puts defects back into a copy of the sources, one at a time, as bugs of the past were,
 * and tells a seed that finds each, and how few events it takes. `--keep` keeps those in corpus.jsonl, `--kept` sees whether what was kept
 * finds them still. Ends with 1 where 500 seeds do not find one. Of each: the file, what stands there, and what stood there or might.
 */

import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { changed, copyOf, whileChanged } from '../../scripts/changed-copy'
import { keep } from './corpus'
import { type Defect, defect } from './defect'
import type { Schedule } from './schedule'
import { wireDefects } from './wire-defects'

// biome-ignore format: a line each
export const defects: readonly Defect[] = [
  defect('a liar that comes back is believed', 'trust/evidence.ts', 'if (!(earned && record?.proven) && !record?.lies && !this.isSuspect(worker)) {', 'if (true) {'),
  defect('a friend sees the query of a stranger', 'layers/vouch.ts', 'if (seer !== identity) return true', ''),
  defect('a newcomer is believed', 'trust/evidence.ts', 'Math.max(0, needed - record.proven)', '0'),
  defect('a worker under two names is two', 'workers/worker.ts', 'return worker.identity ?? worker.name', 'return worker.name'),
  defect('E that agree prove an answer', 'trust/acceptance.ts', 'isProven: agreeing.length > liars,', 'isProven: agreeing.length >= liars,'),
  defect('untrusted workers tell how large answers are', 'trust/scales.ts', 'return this.#hasTrusted ? own : ', 'return '),
  defect('far is near', 'trust/equality.ts', 'Math.max(least, floorOf(equality, output)), equality.rounding)', 'Math.max(least, floorOf(equality, output)), equality.rounding * 1000)'),
  defect('rounding is a lie', 'trust/equality.ts', 'isWithin(type, own, other, size, FAR *', 'isWithin(type, own, other, size, 1e-6 *'),
  defect('answers of the convicted are believed', 'layers/agree.ts', 'trust.isTrusted(worker as ModelWorker))\n', 'trust && worker)\n'),
  defect('auto gives what is unsure', 'base/choices.ts', "(policy === 'auto' && (confidence ?? 0) >= minConfidence)", "policy === 'auto'"),
  defect('a deadline comes late', 'predictor/caller.ts', 'this.dueAt = since + deadlineMs', 'this.dueAt = since + deadlineMs + 5'),
  defect('a deadline is forgotten', 'layers/limit.ts', 'if (query.dueAt < Number.POSITIVE_INFINITY) timers.set(this, query.dueAt)', ''),
  defect('a timer is lost when another is set', 'layers/timers.ts', 'if (!this.#planned || at < this.#planned.at) this.#plan()', 'if (!this.#planned) this.#plan()'),
  defect('a promise settles twice', 'predictor/admission.ts', 'this.#open--\n    this.#count(ending)', 'this.#open--\n    this.#count(ending)\n    this.#count(ending)'),
  defect('one too many is let in', 'predictor/admission.ts', 'const left = this.#most - this.#open - promised', 'const left = this.#most + 1 - this.#open - promised'),
  defect('one too few is let in', 'predictor/admission.ts', 'const left = this.#most - this.#open - promised', 'const left = this.#most - 1 - this.#open - promised'),
  defect('a worker may use its buffer again: answers are not copied', 'base/payload.ts', 'tensorOf(outputs[i], copyOf(data),', 'tensorOf(outputs[i], data,'),
  defect('a held slot is never free again', 'pool/execution.ts', 'for (const slot of member.slots.held) this.#options.roster.vacate(slot)', ''),
  defect('who is drained gets more', 'pool/roster.ts', "this.#move(member, 'leaving')\n", ''),
  defect('hedges cost no budget', 'layers/query-share.ts', 'this.#left--', ''),
  defect('a parity passes for an answer', 'layers/parity.ts', 'row.query === undefined ? undefined : this.#queries[row.query]', 'this.#queries[row.query ?? 0]'),
  defect('what is not finite is an answer', 'base/payload.ts', 'if (flaw) throw flaw', ''),
  defect('answers of another model are compared: audits', 'trust/audit.ts', 'if (this.#renewals !== this.#reputation.evidence.renewals) return', ''),
  defect('a worker has several rows of a group', 'layers/parity.ts', 'if (!this.#failed.includes(identity) && !(this.#promised && this.#isAtWork(identity))) return false', 'if (!this.#failed.includes(identity)) return false'),
  defect('what rejects an abort as fetch does has failed', 'pool/execution.ts', "return code === 'ABORTED' || (cause as Error | undefined)?.name === 'AbortError'", "return code === 'ABORTED'"),
  defect('a contradicted recovery is given', 'layers/recover.ts', '? undefined : said\n', '? said : said\n'),
  defect('the end of an attempt is never told', 'layers/pool-service.ts', 'tried.trace?.settled(attempt, tried.attempts.indexOf(attempt))', ''),
  defect('queries of other tenants are equal', 'layers/exact-cache.ts', 'return payload.digest + tenant', 'return payload.digest'),
  defect('an answer outlives its model', 'predictor/reuse.ts', '  renew(): void {\n    this.#cache.clear()', '  renew(): void {'),
  defect('answers of a tenant that is forgotten are given', 'predictor/version.ts', 'this.reuse?.forget({ tenant })', '{}'),
  defect('half of a convict’s answers are recalled', 'trust/given-answers.ts', 'ids.push(this.#entries[2 * place])', 'if (i % 2) ids.push(this.#entries[2 * place])'),
  defect('answers are said to be audited, and are not', 'trust/sampling.ts', 'if (!this.#options.draws.draw(identityOf(worker))) return', 'if (worker) return'),
  defect('who leaves is answered', 'predictor/open-queries.ts', "    if (this.isOpen) this.#fail(error)\n    this.drop('left')", "    this.drop('left')"),
  defect('a query is refused in the turn in which it comes', 'pool/dispatch.ts', 'this.#attemptFor(member, skip, now) ??', 'this.#attemptFor(member, skip, startsAt) ??'),
  defect('a query that took workers down is given to others', 'layers/hedge.ts', 'return this.query.tried.downs >= mostDowns', 'return this.query.tried.downs >= mostDowns + 9'),
  defect('who takes down workers of several slots is given to all', 'service.ts', "outcome.lost === 'shared' || outcome.blame === 'nobody' ? 0.5 : 1", "outcome.lost === 'shared' ? 0 : 1"),
  defect('a caller is told to come back far too late', 'pool/forecast.ts', 'return Math.min(this.#longestMs, ', 'return Math.max(10 * this.#longestMs, '),
  defect('what a worker gives that was told to leave is not recalled', 'trust/given-answers.ts', 'new Set(workers.map(identityOf))', 'workers.map(({ name }) => name)'),
]

const SEEDS = Number(process.env.SEEDS ?? 500)
const AT_A_TIME = 20
/** Events that are few enough: of a seed that takes more it is seen whether another takes fewer, of so many that find it. */
const FEW = 15
const MOST_TRIED = 6

interface Found {
  seed: number
  why: string
  schedule: Schedule
}

/** What finds a defect with the fewest events, or undefined. */
function hunt(folder: string): Found | undefined {
  let best: Found | undefined
  let tries = 0
  for (let first = 1; first < SEEDS; first += AT_A_TIME) {
    const found = simulate(folder, [String(first), '--seeds', String(AT_A_TIME)])
    for (const [, seed, why] of found.matchAll(/^seed (\d+) breaks \d+: (.*)$/gm)) {
      const [, json] = /^schedule (.*)$/m.exec(simulate(folder, [seed, '--shrink', '--json'])) ?? []
      const schedule: Schedule = JSON.parse(json)
      if (!best || schedule.events.length < best.schedule.events.length) best = { seed: Number(seed), why, schedule }
      if (best.schedule.events.length <= FEW || ++tries >= MOST_TRIED) return best
    }
  }
  return best
}

function simulate(folder: string, args: string[]): string {
  const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', 'test/simulation/simulate.ts', ...args], { cwd: folder, encoding: 'utf8', timeout: 900_000 }) // biome-ignore format: one line
  if (!/with a violation/.test(stdout)) throw new Error(`the simulation did not run: ${stderr}`)
  return stdout
}

/** What the simulation takes. */
const PARTS = ['src', 'build', 'test/simulation', 'test/shared', 'bench', 'package.json', 'tsconfig.json']

/** What comes of it while a defect is there. */
function whileBroken<T>(folder: string, defect: Defect, run: () => T): T {
  return whileChanged(join(folder, 'src', defect.file), (text) => changed(text, defect), run)
}

function search(folder: string, defect: Defect, keeps: boolean): boolean {
  const { name } = defect
  const found = whileBroken(folder, defect, () => hunt(folder))
  console.log(found ? `${name}: seed ${found.seed}, ${found.schedule.events.length} events: ${found.why}` : `${name}: not found`) // biome-ignore format: one line
  if (found && keeps) keep({ defect: name, schedule: found.schedule })
  return found !== undefined
}

/** Whether what was kept finds it still. */
function replay(folder: string, defect: Defect): boolean {
  const { name } = defect
  const isFound = whileBroken(folder, defect, () => simulate(folder, ['--kept'])).includes(`kept of "${name}" breaks`)
  console.log(`${name}: ${isFound ? 'found by what was kept' : 'not found by what was kept'}`)
  return isFound
}

function main(): void {
  const options = { keep: { type: 'boolean', default: false }, kept: { type: 'boolean', default: false } } as const
  const { values, positionals } = parseArgs({ allowPositionals: true, options })
  const chosen = [...defects, ...wireDefects].filter(({ name }) => !positionals.length || positionals.includes(name))
  const folder = copyOf(PARTS)
  try {
    const found = chosen.filter((defect) =>
      values.kept ? replay(folder, defect) : search(folder, defect, values.keep),
    )
    if (found.length < chosen.length) process.exitCode = 1
    console.log(`${found.length} of ${chosen.length} found`)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

if (process.argv[1]?.endsWith('defects.ts')) main()
