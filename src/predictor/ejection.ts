/** What follows when a worker is ejected or readmitted. */

import type { Verdict } from '../trust/reputation'
import type { Settings } from './settings'
import type { ModelVersion } from './version'

/** @param versions  the machine is ejected in all model versions, with all of its workers, and what its answers taught is forgotten */
export function judge(verdict: Verdict, versions: readonly ModelVersion[], settings: Settings): void {
  const { warn, events } = settings
  const { worker, identity, kind, evidence } = verdict
  const isEjected = kind === 'ejected' || kind === 'deviant'
  const why = kind === 'deviant' ? 'deviant' : 'lied'
  // First: it is heard before any answer that follows from it.
  events.tellOf(worker, identity, isEjected ? { event: 'ejected', why, evidence } : { event: kind, evidence })
  if (kind === 'kept')
    return warn('workers disagree so often that hardly any would be left: does the model answer the same twice?')
  for (const { dependencies } of versions) dependencies.trust.follow(identity)
  if (kind === 'readmitted') return
  const { lies, proven, deviating } = evidence
  if (kind === 'deviant') {
    warn(
      `${worker} answers unlike the others (in ${deviating} answers, ${proven} proven ones so far), by more than verify.rounding, less than a lie: it is passed over until it does not`,
    )
    for (const version of versions) {
      version.reuse?.forget({ identity }) // the memory is approximate anyway: it keeps what it learned
      version.reconsider(identity)
    }
    return
  }
  warn(`${worker} lied, with proof (${lies} lies, ${proven} proven answers so far): it is ejected`)
  for (const version of versions) {
    version.forget(identity)
    version.reconsider(identity)
  }
}
