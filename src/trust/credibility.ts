/**
 * What the word of a stranger is worth, where anybody may join under any number of names (after Sarmenta, "Sabotage-tolerance mechanisms for
 * volunteer computing systems", 2002). Pure. A stranger's credibility after `right` answers is 1 - f / right. f, the share of strangers that
 * would lie, is 1: one adversary can be every stranger, since names are free. For the same reason the agreement of strangers adds nothing.
 *
 * What is promised: where each answer that is given is credited to one identity at most, and nothing tells which of its queries are checked, at
 * most 1 - integrity of the given answers are expected to be wrong, whatever strangers do, together or alone. For with N = `answersFor(integrity)`
 * and n right answers credited, a query is checked with probability p = (N + 1) / (N + 1 + n). A lie is caught with p, else one wrong answer is
 * given: (1 - p) (1 + (n + 1) / N) = n / N, so that no way to mix lies with right answers has more than n / N of them to expect. A lie that is
 * caught costs all n, and a lie is whatever is no rounding, also where it is too little to convict.
 */

/** Never more than a count that can be saved. */
const MOST = 2 ** 40

/** Right answers after which an identity is believed; twice as many after each time that it lied. */
export function answersFor(integrity: number, lies = 0): number {
  return Math.min(MOST, Math.ceil(2 ** lies / (1 - integrity) - 1e-6))
}

/** From 0, of a newcomer, up; never 1. */
export function credibility(right: number, lies = 0): number {
  return Math.max(0, 1 - 2 ** lies / right)
}

/** The probability with which a query of an identity has to be checked. */
export function checkShare(right: number, needed: number): number {
  return (needed + 1) / (needed + 1 + right)
}

/**
 * Where workers come from that may be one person: the /24 or /56 of a public address, or what else the transport or the user says; each alone
 * where that is a private address, or nothing is known.
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
