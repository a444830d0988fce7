/** One line of JSON per request and per thing worth knowing, to stdout. Never what a query or an answer was. */

import pino from 'pino'
import type { logLevels } from './options'

/** Bytes written at once, and those that may wait for a reader that does not read: lines beyond are lost, not the server. */
const CHUNK = 4096
const MOST_WAITING = 16 * 1024 * 1024
const FLUSH_MS = 200

export type Log = pino.Logger

export interface Logging {
  log: Log
  flush(): void
}

export function openLog(level: (typeof logLevels)[number]): Logging {
  const out = pino.destination({
    dest: 1,
    sync: false,
    minLength: CHUNK,
    maxLength: MOST_WAITING,
    periodicFlush: FLUSH_MS,
  })
  out.on('error', () => {}) // nobody reads any more
  const settings: pino.LoggerOptions = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (name) => ({ level: name }) },
    serializers: { err: pino.stdSerializers.errWithCause }, // the other adds the causes' words to ours, which have them already
  }
  const log = pino(settings, out)
  return {
    log,
    flush: () => {
      try {
        out.flushSync()
      } catch {} // not open yet, or nobody reads any more
    },
  }
}
