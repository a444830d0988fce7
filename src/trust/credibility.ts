/**
 * How much the answer of an untrusted worker is worth where anybody may join under any number of names (after Sarmenta, "Sabotage-tolerance
 * mechanisms for volunteer computing systems", 2002). Pure. After `right` right answers its credibility is 1 - f / right. The share f of workers
 * that would lie is taken as 1, since names are free: one adversary can be every untrusted worker. For the same reason, agreement among untrusted
 * workers proves nothing.
 *
 * The guarantee: if each given answer is credited to at most one identity, and a worker cannot tell which of its queries are checked, then the
 * expected share of wrong answers is at most 1 - integrity, whatever untrusted workers do, alone or in collusion. With N = `answersFor(integrity)`
 * and n credited right answers, a query is checked with probability p = (N + 1) / (N + 1 + n). A lie is caught with probability p and costs all n;
 * otherwise it is one wrong answer. So (1 - p) (1 + (n + 1) / N) = n / N: no mix of lies and right answers has more than n / N expected lies.
 * Everything beyond rounding counts as a lie here, also where it is too little to eject a worker.
 */

/** The largest count that can be saved. */
const MOST = 2 ** 40

/** Right answers from which on an identity is believed; each lie doubles them. */
export function answersFor(integrity: number, lies = 0): number {
  return Math.min(MOST, Math.ceil(2 ** lies / (1 - integrity) - 1e-6))
}

/** From 0 for a new worker, rising; never 1. */
export function credibility(right: number, lies = 0): number {
  return Math.max(0, 1 - 2 ** lies / right)
}

/** The probability with which an answer of an identity has to be checked. */
export function checkShare(right: number, needed: number): number {
  return (needed + 1) / (needed + 1 + right)
}

/**
 * The origin of a worker: workers of one origin may belong to one person. It is what the transport or the user says, or the /24 or /56 network of a
 * public address. A worker with a private or unknown address is an origin of its own.
 */
export function originOf(origin: string | undefined, identity: string): string {
  if (!origin) return identity
  const [, v4] = /^(?:::ffff:)?(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(origin) ?? []
  if (v4) return PRIVATE_V4.test(v4) ? identity : `${v4.split('.').slice(0, 3).join('.')}.0/24`
  const [address] = origin.replace(/^\[|\]$/g, '').split('%')
  if (!/^[\da-f:]*:[\da-f:]*:[\da-f:]*$/i.test(address)) return origin
  const groups = groupsOf(address)
  if (PRIVATE_V6.test(groups[0]) || /^(0+:){7}0*1$/.test(groups.join(':'))) return identity
  return `${groups.slice(0, 3).join(':')}:${groups[3].slice(0, 2)}00::/56`
}

const PRIVATE_V4 = /^(10|127|192\.168|169\.254|172\.(1[6-9]|2\d|3[01])|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\./
const PRIVATE_V6 = /^(f[cd]|fe[89ab])/i

/** The eight groups of an IPv6 address, four digits each. */
function groupsOf(address: string): string[] {
  const [front, back] = address.split('::').map((part) => (part ? part.split(':') : []))
  const zeros = back ? Array<string>(Math.max(0, 8 - front.length - back.length)).fill('0') : []
  const all = [...front, ...zeros, ...(back ?? [])]
  return Array.from({ length: 8 }, (_, i) => (all[i] ?? '0').toLowerCase().padStart(4, '0'))
}
