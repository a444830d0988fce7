// A gateway as a fetch handler, for Deno, Bun, and every server that takes `export default { fetch }`.
//
//   SERVERS=http://10.0.0.1:8000,http://10.0.0.2:8000 deno serve --allow-net --allow-env main.js
//   SERVERS=http://10.0.0.1:8000,http://10.0.0.2:8000 bun main.js
import { createGateway } from 'approxifer/gateway'
import { httpWorkers } from 'approxifer/http'

const servers = process.env.SERVERS.split(',')
const gateway = createGateway({ models: { digits: { workers: httpWorkers(servers, { model: 'digits' }) } } })
await gateway.ready()

export default { fetch: (request) => gateway(request) }
