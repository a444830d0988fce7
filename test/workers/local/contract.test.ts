import { elsewhere, threads } from '../../shared/threads'
import { contract } from '../../shared/worker-contract'

contract('threads', {
  start: async () => (await threads())[0],
  deaths: ['dies', 'exits', 'outOfMemory'],
})

contract('threads without restart', {
  start: async () => elsewhere((await threads())[0]),
  deaths: ['dies'],
})
