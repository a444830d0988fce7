/** Cuts a schedule that breaks a promise down to events that it takes: delta debugging (Zeller and Hildebrandt, TSE 2002). */

import type { Schedule } from './schedule'

/** @param breaks  whether a schedule breaks a promise */
export async function shrunk(schedule: Schedule, breaks: (schedule: Schedule) => Promise<boolean>): Promise<Schedule> {
  let { events } = schedule
  for (let parts = 2; events.length > 1; ) {
    const size = Math.ceil(events.length / parts)
    let isSmaller = false
    for (let from = 0; from < events.length; from += size) {
      const others = [...events.slice(0, from), ...events.slice(from + size)]
      if (!(await breaks({ ...schedule, events: others }))) continue
      events = others
      parts = Math.max(2, parts - 1)
      isSmaller = true
      break
    }
    if (isSmaller) continue
    if (size === 1) break
    parts = Math.min(events.length, 2 * parts)
  }
  return { ...schedule, events }
}
