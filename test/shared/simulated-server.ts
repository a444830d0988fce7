/** A server without a network, for made time: a fetch function whose answers the test decides. */

export interface Asked {
  path: string
  method: string
  headers: Record<string, string>
  /** Of a JSON request. */
  json:
    | { id?: string; inputs: { data: number[]; shape: number[] }[]; outputs: object[]; parameters: object }
    | undefined
  signal: AbortSignal
}

/** A Response that is there at once: a real one's body takes turns of the loop, in which made time goes by. */
export class Reply {
  readonly status: number
  readonly headers: Headers
  readonly #bytes: Uint8Array

  constructor(body: string | Uint8Array, { status = 200, headers = {} }: { status?: number; headers?: object } = {}) {
    this.status = status
    this.headers = new Headers(headers as Record<string, string>)
    this.#bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body
  }

  static json(value: unknown, init?: { status?: number; headers?: object }): Reply {
    return new Reply(JSON.stringify(value), init)
  }

  get body() {
    const results = [{ done: false, value: this.#bytes }, { done: true }]
    return { getReader: () => ({ read: async () => results.shift(), cancel: async () => {} }) }
  }
}

type Given = Reply | Promise<Reply> | undefined

/** What it answers to [x, ...]: [2 x, 2 ...]. */
export class PretendServer {
  readonly asked: Asked[] = []
  /** Nobody is there: connections are refused. */
  isGone = false
  factor = 2
  version: string | undefined
  metadata: object = {
    name: 'm',
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
  }
  /** Instead of its answer, where it is not undefined. */
  instead: ((asked: Asked) => Given) | undefined

  readonly fetch = (async (url: string, init: RequestInit) => {
    const text = init.body === undefined ? undefined : new TextDecoder().decode(init.body as Uint8Array)
    const asked: Asked = {
      path: new URL(url).pathname.replace(/^.*(?=\/v2)/, ''), // it has several paths
      method: init.method as string,
      headers: init.headers as Record<string, string>,
      json: text?.endsWith('}') ? JSON.parse(text) : undefined,
      signal: init.signal as AbortSignal,
    }
    this.asked.push(asked)
    if (this.isGone) throw new TypeError('fetch failed', { cause: Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }) }) // biome-ignore format: one line
    const reply = Promise.resolve(this.instead?.(asked)).then((other) => other ?? this.#reply(asked))
    const cut = new Promise<never>((_, reject) => asked.signal.addEventListener('abort', () => reject(asked.signal.reason))) // biome-ignore format: one line
    return Promise.race([reply, cut])
  }) as unknown as typeof globalThis.fetch

  /** Rows it was asked for. */
  get inferences(): number {
    return this.asked.filter(({ method }) => method === 'POST').length
  }

  #reply({ path, json, method }: Asked): Reply {
    if (method === 'GET' && path === '/v2/models/m') return Reply.json(this.metadata)
    if (method === 'GET') return Reply.json({}, { status: path === '/v2/models/m/ready' ? 200 : 404 })
    if (!json) return Reply.json({ error: 'binary is not known here' }, { status: 400 })
    return this.answer(json.inputs[0].data, json.id)
  }

  answer(row: number[], id?: string, more: object = {}): Reply {
    const data = row.map((value) => value * this.factor)
    const outputs = [{ name: 'y', datatype: 'FP32', shape: [1, row.length], data, ...more }]
    return Reply.json({ model_name: 'm', model_version: this.version, id, outputs })
  }
}

/** A reply that never comes. */
export const silence = new Promise<never>(() => {})
