import { expect, it } from 'vitest'
import { pathOf } from '../../src/gateway/routes'

const PATHS = [
  '',
  '/',
  '/v2',
  '/v2/',
  '/v2/models/m/infer',
  '/v2/models/m.onnx/versions/1.0-b/infer',
  '/v2/models/%6D/infer',
  '/v2/./models/../m',
  '/v2/.hidden',
  '/v2/m..n',
  '/v2//models',
  '/v2\\models',
  '/v2/models/m?since=/v1',
  '/v2/models/m#/infer',
  '/v2/models/m;a=b',
  '/é',
  '/v2/ m\n',
]

it.each(['http://localhost', 'https://a.b:8443', 'http://[::1]:80', 'http://user:word@host'])(
  'the path of %s/.. is what a URL says',
  (origin) => {
    for (const path of PATHS) expect(pathOf({ url: origin + path })).toBe(new URL(origin + path).pathname)
  },
)
