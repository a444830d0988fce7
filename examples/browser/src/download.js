/**
 * Fetches files at once, and reports how much of them has come.
 *
 * @param urls  of the files
 * @param onProgress  called with the bytes of all files that have come, and that there are; NaN where a server does not say
 * @returns a Blob for each file
 */
export async function download(urls, onProgress) {
  const responses = await Promise.all(urls.map(open))
  const lengths = await Promise.all(responses.map(lengthOf))
  const total = lengths.reduce((a, b) => a + b)
  let loaded = 0
  const counter = () =>
    new TransformStream({
      transform(chunk, controller) {
        loaded += chunk.length
        onProgress(loaded, total)
        controller.enqueue(chunk)
      },
    })
  const read = ({ body, headers }) => new Response(body.pipeThrough(counter()), { headers }).blob()
  return Promise.all(responses.map(read))
}

async function open(url) {
  const response = await fetch(url).catch(() => {
    throw new Error(`${url} could not be fetched. Is there a network?`)
  })
  // Many servers answer a path that they do not know with the page itself.
  const isPage = response.headers.get('content-type')?.startsWith('text/html')
  if (!response.ok || isPage) throw new Error(`the server does not have ${url}.`)
  return response
}

/** Bytes of a file. Where a server compresses, its content-length is another; a part of a file is never compressed, and names the whole. */
async function lengthOf({ url, headers }) {
  if (!headers.has('content-encoding')) return Number(headers.get('content-length') ?? NaN)
  const part = await fetch(url, { headers: { range: 'bytes=0-1' }, cache: 'no-store' })
  part.body.cancel()
  return Number(part.headers.get('content-range')?.split('/')[1])
}
