// node open-pages.js URL COUNT: what so many of serve's pages ask for: /events as a stream, and /metrics every two seconds. Each page has a time of
// its own, as pages that were opened by different people have.
import { Agent, request } from 'node:http'

const [url, count] = process.argv.slice(2)
const EVERY_MS = 2000
const agent = new Agent({ keepAlive: true })
const ask = (path, options) => {
  request(url + path, options, (response) => response.resume())
    .on('error', () => {})
    .end()
}
for (let page = 0; page < Number(count); page++) {
  ask('/events?since=0&model=digits', {})
  const metrics = () => ask('/metrics', { agent, headers: { accept: 'application/json' } })
  setTimeout(() => setInterval(metrics, EVERY_MS), (page / Number(count)) * EVERY_MS)
}
