/** What is used of it; it has no types of its own. */
declare module 'autocannon' {
  export interface Options {
    url: string
    method?: string
    body?: Buffer | string
    headers?: Record<string, string>
    connections?: number
    duration?: number
    amount?: number
    overallRate?: number
    timeout?: number
  }
  export interface Result {
    requests: { average: number; total: number; sent: number }
    latency: { p50: number; p99: number; max: number }
    errors: number
    timeouts: number
    non2xx: number
    '2xx': number
    statusCodeStats: Record<string, { count: number }>
  }
  export default function autocannon(options: Options): Promise<Result> & NodeJS.EventEmitter
}
