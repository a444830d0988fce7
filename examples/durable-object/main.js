import { DurableObject } from 'cloudflare:workers'
import { createGateway, durableStore } from 'approxifer/gateway'
import { httpWorkers } from 'approxifer/http'

export class Gateway extends DurableObject {
  gateway = createGateway({
    models: { digits: { workers: httpWorkers(this.env.SERVERS, { model: 'digits', timeoutMs: 5000 }) } },
    store: durableStore(this.ctx.storage),
  })

  async fetch(request) {
    await this.gateway.ready().catch(({ message }) => this.ctx.abort(message)) // the next request tries again
    return this.gateway(request)
  }
}

export default { fetch: (request, { GATEWAY }) => GATEWAY.getByName('digits').fetch(request) }
