/** What of the real objects decides nothing in the small world, and why: all else is its state. */

import { type Omitted, type Reading, Unordered } from './canonical'

const fixed = 'settled when the predictor starts'
const figures = 'only told: nothing asks what was counted'
const learned = 'without a memory nothing is recovered, so that nobody asks how sure that would be'
const few = 'fewer than ten first answers say nothing of what is late, fewer than twenty nothing of the pace, fewer than thirty nothing of sizes' // biome-ignore format: one line
const derived = 'follows from what is there of each worker, attempt or query'

const omitted: Omitted = {
  'Predictor.signature': fixed,
  'Predictor.abilities': fixed,
  'Predictor._settings': fixed,
  'Predictor._membership': 'it has taken all that it was told',
  'Pool._closing': 'it waits for workers that close, and they do at once',
  'Reputation._random': 'audits are off, whatever is drawn',
  'Reputation._equal': derived,
  '_all.learning': learned,
  '_all.save': learned,
  'InlineMemory._learning': learned,
  'Puppet.signature': fixed,
  'ModelVersion.counts': figures,
  'ModelVersion.dependencies': 'its calls lead to all of it that counts',
  'ModelVersion._shared': 'its calls lead to all of it that counts',
  'PooledAttempt.order': 'attempts are queued in that order',
  'Admission._answered': figures,
  'Admission._failed': figures,
  'Member.counts': figures,
  'Member.stamp': derived,
  'Roster._stamps': derived,
  'Capacity.mostRows': fixed,
  'Speeds.pace': few,
  'Speeds._slots': derived,
  'Speeds._rates': derived,
  'Speeds._sums': derived,
  'Execution._options': fixed,
  'Dispatcher._packing': fixed,
}

interface Deque {
  _places: unknown[]
}

interface Entry {
  member: { stamp: number }
  stamp: number
  slowness: number
}

interface Slots {
  all: unknown[]
  free: unknown[]
  held: unknown
  limit: number
}

interface Batch {
  isOver: boolean
  phase: string
  slot: unknown
}

interface Member {
  state: string
  worker: { name: string; identity: string }
}

interface Payload {
  tensors: { data: Float32Array }[]
}

interface Evidence {
  _workers: Map<string, Record<string, number>>
  _left: Set<string>
}

/** Of a query its label; of an answer whether it is right. */
function told({ tensors: [{ data }] }: Payload): string {
  const [first, second] = data
  if (first % 1) return `q${first - 0.5}`
  return second ? `lie of q${second - 5}` : `truth of q${first - 1}`
}

/** A record of nothing is as none. Sizes of proven answers tell nothing before there are thirty, distances nothing without a memory. */
const records = ({ _workers, _left }: Evidence) => {
  const held = [..._workers].filter(([, { lies, ejections, rightAnswersLeft, suspicion }]) => lies + ejections + rightAnswersLeft + suspicion > 0) // biome-ignore format: one line
  return new Unordered(held.map(([name, { lies, ejections, rightAnswersLeft }]) => [name, lies > 0, ejections, rightAnswersLeft, _left.has(name)])) // biome-ignore format: one line
}

/** The line has it in its order, and the call has its time. */
const inLine = (timer: unknown) => (typeof timer === 'number' ? 'in line' : timer)

const readings = {
  WatchedClock: () => 'clock',
  _Payload: told,
  Evidence: records,
  Lateness: ({ ages }: { ages: unknown }) => ages,
  Deque: ({ _places }: Deque) => _places.filter((each) => each !== undefined),
  TinyQueue: ({ data }: { data: unknown }) => data,
  Bag: ({ _items }: { _items: unknown[] }) => _items,
  'PooledAttempt.place': (place: unknown) => place !== undefined,
  'LimitedCall.timer': inLine,
  'HedgedCall.timer': inLine,
  'Identities._machines': (own: Map<string, unknown>) => new Unordered([...own]),
  'Roster.members': (own: Map<string, unknown>) => new Unordered([...own.values()]),
  'Roster._free': ({ data }: { data: Entry[] }) => {
    const live = data.filter(({ member, stamp }) => member.stamp === stamp)
    return live.sort((a, b) => a.slowness - b.slowness || a.stamp - b.stamp).map(({ member, slowness }) => [member, slowness]) // biome-ignore format: one line
  },
  Slots: ({ all, free, held, limit }: Slots) => [limit, all.filter((slot) => !free.includes(slot)), held],
  Batch: (batch: Batch) => (batch.isOver ? [batch.phase, batch.slot] : Object.entries(batch)),
  Member: (member: Member) => (member.state === 'leaving' ? [member.worker.name, member.worker.identity] : Object.entries(member).filter(([key]) => !(`Member.${key}` in omitted))), // biome-ignore format: one line
}

export const timed: Reading = { names: /\b[wnkq]\d\b/g, omitted, readings: readings as Reading['readings'] }

/** Where no time passes all answers take the least that is measured: how many there were makes none of them slower, and no timer fires. */
export const timeless: Reading = {
  names: timed.names,
  omitted: { ...omitted, 'WorkerSlot.unwatch': 'no timer fires', 'Speeds._within': 'all times are one', 'Speed.last': 'all times are one', 'Speed.mean': 'all times are one' }, // biome-ignore format: one line
  readings: { ...timed.readings, 'Speed.logs': ((logs: number[]) => logs.length > 0) as Reading['readings'][string] },
}
