/** How to ask a model, to copy: a line for a shell, and ten lines for Node. Both read the token from a variable, never from the page. */

import type { TensorMetadata } from '../../oip/metadata'

export interface ModelMetadata {
  readonly name: string
  readonly inputs: readonly TensorMetadata[]
  readonly outputs: readonly TensorMetadata[]
  readonly parameters?: { readonly batched?: boolean }
}

/** Of a dimension that a query chooses. */
const LENGTH = 8

const elementOf = (datatype: string) => {
  if (datatype === 'BYTES') return '"a text"'
  if (datatype === 'BOOL') return 'true'
  return datatype.startsWith('FP') ? '0.5' : '1'
}

/** An array of tensors, in JavaScript. */
function inputsOf({ inputs, parameters: { batched = true } = {} }: ModelMetadata, space: string): string {
  const written = inputs.map(({ name, datatype, shape }) => {
    const dimensions = shape.map((length, i) => (length >= 0 ? length : i === 0 && batched ? 1 : LENGTH))
    const count = dimensions.reduce((product, length) => product * length, 1)
    const [called, type] = [JSON.stringify(name), JSON.stringify(datatype)]
    return `{ name: ${called}, datatype: ${type}, shape: [${dimensions}], data: Array(${count}).fill(${elementOf(datatype)}) }`
  })
  return `[${space}${written.join(`,${space || ' '}`)}${space && ','}${space.replace('  ', '')}]`
}

/** As one word of a shell. */
export const quoted = (text: string) => (/^[\w:/.%-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)

/** The option of curl for a token. @param token  what a shell makes the token of */
export const bearer = (token: string) => `-H "Authorization: Bearer ${token}"`

function addressOf(origin: string, name: string): string {
  const path = encodeURIComponent(name).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`)
  return `${origin}/v2/models/${path}/infer`
}

/** @param origin  where models are asked @param options  of curl */
export function curlLine(model: ModelMetadata, origin: string, options: readonly string[]): string {
  const query = quoted(`JSON.stringify({ inputs: ${inputsOf(model, '')} })`)
  return `node -p ${query} | ${['curl', ...options, quoted(addressOf(origin, model.name))].join(' ')} -d @-`
}

export function clientLines(model: ModelMetadata, origin: string, isTokenNeeded: boolean): string {
  const token = isTokenNeeded ? '\nconst headers = { authorization: "Bearer " + process.env.TOKEN }' : ''
  return `const url = ${JSON.stringify(addressOf(origin, model.name))}${token}
const inputs = ${inputsOf(model, '\n  ')}
const body = JSON.stringify({ inputs })
const response = await fetch(url, { method: 'POST',${isTokenNeeded ? ' headers,' : ''} body })
const reply = await response.json()
if (!response.ok) throw new Error(reply.error)
for (const { name, shape, data } of reply.outputs) console.log(name, shape, data)
console.log('how it was answered:', reply.parameters.status)`
}
