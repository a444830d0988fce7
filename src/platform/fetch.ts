/** HTTP by a fetch function: what browsers and edge runtimes have. In Node it costs 3 to 4 times what undici's pool does. */

import type { Connections, HttpReply } from './platform'

/** @param url  of the server, without a slash at its end */
export function fetchConnections(url: string, fetch: typeof globalThis.fetch): Connections {
  return {
    onDrop: undefined, // nobody tells
    async request({ method, path, headers, body, mostBytes, abort }): Promise<HttpReply> {
      // A redirect would lead to a worker that is not this one.
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

/** A stream's bytes; undefined where there are more. @param told  of their number so far; may throw, or have it wait */
export async function readWithin(
  stream: ReadableStream<Uint8Array>,
  mostBytes: number,
  told: (bytes: number) => unknown = () => {},
): Promise<Uint8Array[] | undefined> {
  const reader = stream.getReader()
  const chunks: Uint8Array[] = []
  try {
    for (let length = 0; ; ) {
      const { done, value } = await reader.read()
      if (done) return chunks
      length += value.byteLength
      if (length > mostBytes) return undefined
      await told(length)
      chunks.push(value)
    }
  } finally {
    cancelSoon(reader)
  }
}

/**
 * Of what has come to its end nothing is left to cancel. Not at once: a stream that packs or unpacks, and has just been asked for more,
 * gives that in Node 20 to one that is closed, and nobody catches the error.
 */
export function cancelSoon(reader: ReadableStreamDefaultReader<Uint8Array>): void {
  setTimeout(() => reader.cancel().catch(() => {}))
}
