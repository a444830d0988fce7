/**
 * npm run simulate:defects -- [NAME ...]: puts defects back into a copy of the sources, one at a time, as bugs of the past were, and tells the
 * first seed that finds each, and how few events it takes. Ends with 1 where 500 seeds do not find one. Of each: the file, what stands
 * there, and what stood there or might.
 */

import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { copyOf, whileChanged } from '../../scripts/changed-copy'

export interface Defect {
  name: string
  file: string
  from: string
  to: string
}

const defect = (name: string, file: string, from: string, to: string): Defect => ({ name, file, from, to })

// biome-ignore format: a line each
export const defects: readonly Defect[] = [
  defect('a liar that comes back is believed', 'trust/evidence.ts', 'if (!this.#workers.get(worker)?.lies && !this.isSuspect(worker)) {', 'if (true) {'),
  defect('a worker under two names is two', 'workers/worker.ts', 'return worker.identity ?? worker.name', 'return worker.name'),
  defect('E that agree prove an answer', 'query/acceptance.ts', 'isProven: agreeing.length > liars,', 'isProven: agreeing.length >= liars,'),
  defect('far is near', 'query/equality.ts', 'Math.max(least, floorOf(equality, i)) * equality.rounding', 'Math.max(least, floorOf(equality, i)) * equality.rounding * 1000'),
  defect('rounding is a lie', 'query/equality.ts', 'return !isWithin(type, own, other, FAR * size', 'return !isWithin(type, own, other, 1e-6 * size'),
  defect('answers of the convicted are believed', 'query/vote.ts', '&& trust.isTrusted(workerOf(asked)))', ')'),
  defect('auto gives what is unsure', 'query/policy.ts', "(policy === 'auto' && (confidence ?? 0) >= minConfidence)", "policy === 'auto'"),
  defect('a deadline comes late', 'query/caller.ts', 'this.dueAt = since + deadlineMs', 'this.dueAt = since + deadlineMs + 5'),
  defect('a deadline is forgotten', 'query/agenda.ts', 'if (!isUsual) this.again(timed, timed.caller.dueAt)', ''),
  defect('a timer is lost when another is set', 'query/agenda.ts', 'if (this.#timer && this.#timer.at <= at) return', 'if (this.#timer) return'),
  defect('a promise settles twice', 'predictor/admission.ts', 'this.#open--\n    this.#count(ending)', 'this.#open--\n    this.#count(ending)\n    this.#count(ending)'),
  defect('one too many is let in', 'predictor/admission.ts', 'if (this.#open >= this.#most) {', 'if (this.#open > this.#most) {'),
  defect('one too few is let in', 'predictor/admission.ts', 'if (this.#open >= this.#most) {', 'if (this.#open + 1 >= this.#most) {'),
  defect('a worker may use its buffer again: answers are not copied', 'payload.ts', 'tensorOf(outputs[i], copyOf(data),', 'tensorOf(outputs[i], data,'),
  defect('a held slot is never free again', 'pool/execution.ts', 'for (const slot of member.slots.held) this.#options.roster.vacate(slot)', ''),
  defect('who is drained gets more', 'pool/roster.ts', 'this.#move(member, LEAVING)\n', ''),
  defect('hedges cost no budget', 'query/budget.ts', 'this.#left--', ''),
  defect('a parity passes for an answer', 'group/coded-group.ts', 'if (query !== undefined) return this.#members[query].copy(index)', 'if (index >= 0) return this.#members[query ?? 0].copy(index)'),
  defect('what is not finite is an answer', 'payload.ts', 'if (flaw) throw flaw', ''),
  defect('answers of another model are compared: audits', 'trust/audit.ts', 'if (this.#renewals !== this.#reputation.evidence.renewals) return', ''),
  defect('a worker has several rows of a group', 'group/coded-group.ts', 'const live = isPromised ? ', 'const live = false ? '),
  defect('what rejects an abort as fetch does has failed', 'pool/execution.ts', "return code === 'ABORTED' || (cause as Error | undefined)?.name === 'AbortError'", "return code === 'ABORTED'"),
  defect('a contradicted recovery is given', 'query/facts.ts', '? undefined : recovery\n', '? recovery : recovery\n'),
  defect('a group is never reported', 'query/query.ts', 'if (this.coding) this.coding.done()', 'if (this.coding) return'),
  defect('who leaves is answered', 'query/query.ts', 'if (this.isOpen) this.#fail(error)\n    if (this.coding) this.coding.left(this)', 'if (this.coding) this.coding.left(this)'),
]

const SEEDS = Number(process.env.SEEDS ?? 500)
const AT_A_TIME = 20

/** What finds a defect, or undefined. */
function hunt(folder: string): { seed: number; events: number; why: string } | undefined {
  for (let first = 1; first < SEEDS; first += AT_A_TIME) {
    const found = simulate(folder, [String(first), '--seeds', String(AT_A_TIME)])
    const [, seed] = /^seed (\d+) breaks/m.exec(found) ?? []
    if (seed === undefined) continue
    const shrunk = simulate(folder, [seed, '--shrink'])
    const events = Number(/^(\d+) events of/m.exec(shrunk)?.[1])
    const [, why = ''] = /breaks \d+: (.*)$/m.exec(shrunk) ?? []
    return { seed: Number(seed), events, why }
  }
}

function simulate(folder: string, args: string[]): string {
  const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', 'test/simulation/simulate.ts', ...args], { cwd: folder, encoding: 'utf8', timeout: 900_000 }) // biome-ignore format: one line
  if (!/with a violation/.test(stdout)) throw new Error(`the simulation did not run: ${stderr}`)
  return stdout
}

/** What the simulation takes. */
const PARTS = ['src', 'build', 'test/simulation', 'test/shared', 'bench', 'package.json', 'tsconfig.json']

function main(names: readonly string[]): void {
  const folder = copyOf(PARTS)
  let missed = 0
  try {
    for (const { name, file, from, to } of defects.filter(({ name }) => !names.length || names.includes(name))) {
      const found = whileChanged(
        join(folder, 'src', file),
        (text) => {
          if (!text.includes(from)) throw new RangeError(`${name}: ${file} has no ${JSON.stringify(from)}`)
          return text.replace(from, () => to)
        },
        () => hunt(folder),
      )
      if (!found) missed++
      console.log(found ? `${name}: seed ${found.seed}, ${found.events} events: ${found.why}` : `${name}: not found`)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
  if (missed) process.exitCode = 1
}

if (process.argv[1]?.endsWith('defects.ts')) main(process.argv.slice(2))
