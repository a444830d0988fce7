// A gateway that lives as long as a request, for programs of `fetch` events: edge runtimes and service workers.
import { createGateway } from 'approxifer/gateway'
import { httpWorkers } from 'approxifer/http'
import servers from './servers.json'

async function answer(request) {
  const workers = httpWorkers(servers, { model: 'digits' })
  const gateway = createGateway({ models: { digits: { workers, scheme: { queries: 2, stragglers: 1 } } } })
  await gateway.ready()
  const response = await gateway(request)
  await gateway.close()
  return response
}

addEventListener('fetch', (event) => event.respondWith(answer(event.request)))
