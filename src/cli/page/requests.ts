/** Requests to the server that sent the page, with the token that the operator typed. The tab keeps it, and forgets it when it is closed. */

const KEY = 'approxifer-token'

/** The server has refused a request, and why, in a sentence for the operator. `status` 0: it cannot be reached. */
export class RefusedError extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** When to ask again. */
    readonly retryMs = 2000,
  ) {
    super(message)
  }

  /** Whether another token may help. */
  get isAboutToken(): boolean {
    return this.status === 401 || this.status === 403
  }
}

export class ServerRequests {
  get token(): string {
    return sessionStorage.getItem(KEY) ?? ''
  }

  set token(token: string) {
    if (token) sessionStorage.setItem(KEY, token)
    else sessionStorage.removeItem(KEY)
  }

  /** @throws RefusedError; what `signal` was aborted with */
  async get(path: string, signal: AbortSignal): Promise<Response> {
    const { token } = this
    const authorization = token ? { authorization: `Bearer ${token}` } : undefined
    const headers = { accept: 'application/json', ...authorization }
    let response: Response
    try {
      response = await fetch(path, { headers, signal, cache: 'no-store' })
    } catch {
      signal.throwIfAborted()
      throw new RefusedError(0, 'The server cannot be reached.')
    }
    if (response.ok) return response
    throw refused(response, token !== '', await errorOf(response))
  }
}

function refused({ status, headers }: Response, hasToken: boolean, error: string): RefusedError {
  const retryMs = 1000 * (Number(headers.get('retry-after')) || 2)
  if (status === 401 && !hasToken) return new RefusedError(status, 'This server tells nothing without a token.')
  if (status === 401) return new RefusedError(status, 'The server does not know this token.')
  if (status === 403)
    return new RefusedError(status, 'This token is for some of the models. The page needs a token for all of them.')
  return new RefusedError(status, `The server answers ${status}: ${error}.`, retryMs)
}

async function errorOf(response: Response): Promise<string> {
  try {
    return String((await response.json()).error)
  } catch {
    return 'without a reason'
  }
}
