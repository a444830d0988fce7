/** A gateway behind node:http, as small as it can be: what a proper server does more is no concern of the gateway's tests. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGateway } from 'approxifer/gateway'
import { PATIENCE_MS } from './waiting'

export interface TestServer {
  gateway: ReturnType<typeof createGateway>
  url: string
  port: number
  close(): Promise<void>
}

/** A gateway with these options, when it is ready. @param requestMs  within which a request must be here */
export async function serveGateway(
  options: Parameters<typeof createGateway>[0],
  requestMs = PATIENCE_MS,
): Promise<TestServer> {
  const gateway = createGateway(options)
  await gateway.ready()
  const server = await serve(gateway, requestMs)
  const close = async () => {
    await server.close()
    await gateway.close()
  }
  return { ...server, gateway, close }
}

type Answer = (request: Request) => Promise<Response>

/** Any function from requests to responses. */
export async function serve(answer: Answer, requestMs = PATIENCE_MS): Promise<Omit<TestServer, 'gateway'>> {
  const server = createServer({ connectionsCheckingInterval: 500 }, (incoming, outgoing) => {
    handle(answer, incoming, outgoing).catch((error) => outgoing.destroy(error))
  })
  server.headersTimeout = requestMs
  server.requestTimeout = requestMs
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const late = error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
    const body = JSON.stringify({
      error: late
        ? `the request: expected within ${requestMs} ms`
        : `the request: expected HTTP/1.1, got ${error.message}`,
    })
    const head = `HTTP/1.1 ${late ? '408 Request Timeout' : '400 Bad Request'}\r\nContent-Type: application/json`
    if (socket.writable)
      socket.end(`${head}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`)
  })
  server.on('connection', (socket) => socket.on('error', () => {}))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return { url: `http://127.0.0.1:${port}`, port, close }
}

async function handle(
  answer: (request: Request) => Promise<Response>,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const { method = 'GET', url = '/', rawHeaders } = incoming
  const gone = new AbortController()
  outgoing.on('close', () => gone.abort())
  const headers = new Headers()
  for (let i = 0; i < rawHeaders.length; i += 2) headers.append(rawHeaders[i], rawHeaders[i + 1])
  const body = method === 'GET' || method === 'HEAD' ? {} : { body: bodyOf(incoming), duplex: 'half' }
  const init = { method, headers, signal: gone.signal, ...body } as RequestInit
  const response = await answer(new Request(`http://test${url.startsWith('/') ? url : '/'}`, init))
  outgoing.writeHead(response.status, Object.fromEntries(response.headers))
  outgoing.end(method === 'HEAD' ? undefined : new Uint8Array(await response.arrayBuffer()))
  // What nobody read is let through for a while: a client that still sends would not see the answer otherwise.
  incoming.resume()
  setTimeout(() => incoming.complete || incoming.destroy(), 2000).unref()
}

/** Read only as far as somebody asks for it. */
function bodyOf(incoming: IncomingMessage): ReadableStream {
  let chunks: AsyncIterator<Buffer> | undefined
  const pull = async (controller: ReadableStreamDefaultController) => {
    chunks ??= incoming.iterator({ destroyOnReturn: false })
    const { done, value } = await chunks.next()
    if (done) controller.close()
    else controller.enqueue(value)
  }
  return new ReadableStream({ pull, cancel: () => void chunks?.return?.() }, { highWaterMark: 0 })
}
