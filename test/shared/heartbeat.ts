import { VERSION } from '../../src/workers/machines/frames'

/** What a machine's heartbeat says while all is well, beside its name, its identity and its model's signature. */
export const UP = { version: VERSION, state: 'up', everyMs: 500, connection: 1, open: 0, slots: 1, ms: 0 } as const
