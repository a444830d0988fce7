import { elsewhere, threads } from '../../shared/threads'
import { contract } from '../../shared/worker-contract'

/** Deno and Bun do not limit a thread's memory. */
const hasLimits = !('Deno' in globalThis || 'Bun' in globalThis)

contract('threads', {
  start: async () => (await threads())[0],
  deaths: hasLimits ? ['dies', 'exits', 'outOfMemory'] : ['dies', 'exits'],
})

contract('threads without restart', {
  start: async () => elsewhere((await threads())[0]),
  deaths: ['dies'],
})
