/** HTTP by a fetch function, for browsers and edge runtimes. In Node it costs 3 to 4 times as much as undici's pool. */

import type { Connections, HttpReply, Platform } from './platform'

/**
 * @param url  of the server, without a slash at its end
 * @param whyBlocked  explains in pages why a request of the page's own `fetch` failed
 */
export function fetchConnections(
  url: string,
  fetch: typeof globalThis.fetch,
  whyBlocked?: Platform['whyBlocked'],
): Connections {
  return {
    ...(whyBlocked && { whyFailed: (path, needs, signal) => whyBlocked(url + path, needs, signal) }),
    onDrop: undefined, // fetch does not report closed connections
    async request({ method, path, headers, body, mostBytes, abort }): Promise<HttpReply> {
      // A redirect would lead to another server than this worker's.
      const init = {
        method,
        headers,
        body: body as BodyInit | undefined,
        signal: abort.signal,
        redirect: 'manual',
      } as const
      const response = await fetch(url + path, init)
      const header = (name: string) => response.headers.get(name) ?? undefined
      const chunks = response.body ? await readWithin(response.body, mostBytes) : []
      return { status: response.status, header, body: chunks }
    },
    close: async () => {},
  }
}

/**
 * Reads a stream; undefined if it has more than `mostBytes`. @param onProgress  called with the bytes read so far; may throw, or return a
 * promise to wait for
 */
export async function readWithin(
  stream: ReadableStream<Uint8Array>,
  mostBytes: number,
  onProgress: (bytes: number) => unknown = () => {},
): Promise<Uint8Array[] | undefined> {
  const reader = stream.getReader()
  const chunks: Uint8Array[] = []
  try {
    for (let length = 0; ; ) {
      const { done, value } = await reader.read()
      if (done) return chunks
      length += value.byteLength
      if (length > mostBytes) return undefined
      await onProgress(length)
      chunks.push(value)
    }
  } finally {
    cancelSoon(reader)
  }
}

/**
 * Cancels a stream, in a later task: in Node 20 cancelling a compression stream in the same task causes an uncaught error. A stream that
 * has ended is not affected.
 */
export function cancelSoon(reader: ReadableStreamDefaultReader<Uint8Array>): void {
  setTimeout(() => reader.cancel().catch(() => {}))
}
