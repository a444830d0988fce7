import { createGateway } from 'approxifer/gateway'
import { httpWorkers } from 'approxifer/http'

export const runtime = 'edge'

let gateway // made by the first request: `next build` loads this file too

export async function POST(request) {
  const workers = () => httpWorkers(process.env.SERVERS.split(','), { model: 'digits' })
  gateway ??= createGateway({ models: { digits: { workers: workers() } } })
  await gateway.ready()
  return gateway(request)
}
