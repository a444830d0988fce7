import { contract } from '../../shared/contract'
import { elsewhere, threads } from '../../shared/threads'

contract('threads', {
  start: async () => (await threads())[0],
  deaths: ['dies', 'exits', 'outOfMemory'],
})

contract('threads without restart', {
  start: async () => elsewhere((await threads())[0]),
  deaths: ['dies'],
})
