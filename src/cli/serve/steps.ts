/** What a person in a terminal does next: ask a model, open the operators' page, read the metrics. */

import { resolve } from 'node:path'
import type { Signature } from '../../base/tensor'
import { writeMetadata } from '../../oip/metadata'
import { bearer, curlLine, quoted } from '../page/samples'
import type { Config } from './config'

/**
 * @param config    tells which token or certificate a client needs
 * @param urls      of `--port` and, if there is one, of `--admin-port`
 * @param models    the names of all models; the first one is asked
 * @param signature of the first one
 */
export function nextSteps(config: Config, urls: readonly string[], models: readonly string[], signature: Signature) {
  const [url, admin] = urls.map(reachable)
  const [options, needed] = accessOf(config)
  const curl = (path: string, flags = options) => ['curl', ...flags, quoted(path)].join(' ')
  const insecure = options.filter((option) => option === INSECURE)
  return `Ask ${models[0]} from another terminal${needed}:
  ${curlLine(writeMetadata(models[0], [], signature), url, options)}
${models.length > 1 ? `Inputs of another model: ${curl(`${url}/v2/models/${models[1]}`)}\n` : ''}\
Watch it: ${admin ?? url}/
Metrics: ${admin ? curl(`${admin}/metrics`, insecure) : curl(`${url}/metrics`)}
`
}

/** Browsers refuse the address that stands for all of this machine's. */
const reachable = (url: string) => url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:')

/** The certificate of a server on this machine seldom has the name or address that is asked here. */
const INSECURE = '--insecure'

/** Options of curl with which the server answers, and what their user has to set before. They contain no token. */
function accessOf({ server, tokens }: Config): [options: string[], needed: string] {
  const secure = server.tlsCert === undefined ? [] : [INSECURE]
  if (server.tokenFile !== undefined)
    return [[...secure, bearer(`$(grep -m 1 . ${quoted(resolve(server.tokenFile))})`)], '']
  if (process.env.APPROXIFER_TOKEN !== undefined)
    return [[...secure, bearer('$APPROXIFER_TOKEN')], ', where APPROXIFER_TOKEN is set as here']
  if (tokens.some(({ certificate }) => certificate === undefined))
    return [[...secure, bearer('$TOKEN')], ', after TOKEN=... with one of the tokens']
  if (server.tlsClientCa === undefined) return [secure, '']
  return [[...secure, '--cert client.pem', '--key client.key'], ', with the files of a client’s certificate']
}
