/** Which path of the Open Inference Protocol means what. */

import { expected } from '../check'
import { notFound, Refusal } from './refusal'

export type Resource = 'server' | 'live' | 'ready' | 'model' | 'modelReady' | 'infer'

export interface Place {
  resource: Resource
  model: string
  version: string | undefined
}

/** `:model` and `:version` stand for any one part. */
const ROUTES: readonly (readonly ['GET' | 'POST', string, Resource])[] = [
  ['GET', '/v2', 'server'],
  ['GET', '/v2/', 'server'], // so the OpenAPI file has it
  ['GET', '/v2/health/live', 'live'],
  ['GET', '/v2/health/ready', 'ready'],
  ['GET', '/v2/models/:model', 'model'],
  ['GET', '/v2/models/:model/versions/:version', 'model'],
  ['GET', '/v2/models/:model/ready', 'modelReady'],
  ['GET', '/v2/models/:model/versions/:version/ready', 'modelReady'],
  ['POST', '/v2/models/:model/infer', 'infer'],
  ['POST', '/v2/models/:model/versions/:version/infer', 'infer'],
]

const routes = ROUTES.map(([method, path, resource]) => ({ method, parts: path.split('/'), resource }))

/** @throws Refusal 400, 404, 405 */
export function placeOf({ method, url }: Pick<Request, 'method' | 'url'>): Place {
  const { pathname } = new URL(url)
  const parts = pathname.split('/')
  const route = routes.find(
    (each) => each.parts.length === parts.length && each.parts.every((part, i) => part === parts[i] || part[0] === ':'),
  )
  if (!route) throw notFound('the path', 'one of the Open Inference Protocol, from /v2 on', shortened(pathname))
  const allowed = route.method === 'GET' ? ['GET', 'HEAD'] : ['POST']
  if (!allowed.includes(method)) {
    throw new Refusal(405, expected('the method', allowed.join(' or '), method), { Allow: allowed.join(', ') })
  }
  const part = (name: string) => {
    const at = route.parts.indexOf(name)
    return at < 0 ? undefined : unescaped(parts[at])
  }
  return { resource: route.resource, model: part(':model') ?? '', version: part(':version') }
}

function unescaped(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new Refusal(400, expected('the path', 'percent-encoded UTF-8', shortened(part)))
  }
}

function shortened(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}...` : text
}
