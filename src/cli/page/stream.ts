/** The stream of /events, read from the body of a fetch: an EventSource could bring no token. */

import type { PredictorEvent } from '../../events'

export interface EventBatch {
  readonly model: string
  readonly events: readonly (PredictorEvent | { readonly event: 'request'; readonly at: number })[]
}

/** How long batches are read without a pause, in which the page answers its user. The first ten seconds come in one piece. */
const WITHOUT_PAUSE_MS = 10

/** Ends where the stream ends. @throws what the body throws, also when its fetch is aborted */
export async function* batchesOf(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<EventBatch> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  let paused = performance.now()
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    const blocks = (rest + value).split('\n\n')
    rest = blocks.pop() as string
    for (const block of blocks) {
      const data = /^data: (.*)$/m.exec(block)?.[1]
      if (data === undefined) continue // a comment that keeps the connection open
      yield JSON.parse(data)
      if (performance.now() - paused < WITHOUT_PAUSE_MS) continue
      await new Promise((resume) => setTimeout(resume))
      paused = performance.now()
    }
  }
}
