/** The option `layers`: what a query goes through is the user's to say. */

import { createPredictor, type PredictorOptions } from 'approxifer'
import {
  type Answer,
  type Caller,
  isSame,
  keyOf,
  type Layer,
  OutgoingCall,
  type Payload,
  type Query,
  Relay,
  SettledCall,
} from 'approxifer/layers'
import { describe, expect, it } from 'vitest'
import { HandWorker, query, turn } from '../shared/hand-predictor'

/** As in docs/reference/layers.md. */
class Keeping extends Relay {
  constructor(
    caller: Caller,
    readonly keep: (answer: Answer) => void,
  ) {
    super(caller)
  }

  override settled(outcome: Parameters<Caller['settled']>[0]): void {
    if (outcome.kind === 'answer' && outcome.status === 'exact') this.keep(outcome)
    super.settled(outcome)
  }
}

const cache: Layer = (next) => {
  const kept = new Map<string, { payload: Payload; answer: Answer }>()
  return (query, caller) => {
    const key = keyOf(query.turn.tenant, query.payload)
    const known = kept.get(key)
    if (known && isSame(known.payload, query.payload)) return new SettledCall(caller, { ...known.answer, reused: true })
    const keep = (answer: Answer) => kept.set(key, { payload: query.payload.copy(), answer })
    return next(query, new Keeping(caller, keep))
  }
}

/** Every query is asked twice, and the answers are compared. */
function secondOpinion(differing: () => void): Layer {
  class One extends OutgoingCall {
    outcome: Answer | undefined
    isDone = false

    constructor(readonly told: () => void) {
      super()
    }

    ask(...args: Parameters<One['send']>): void {
      this.send(...args)
    }

    settled(outcome: Parameters<Caller['settled']>[0]): void {
      if (outcome.kind === 'answer') this.outcome = outcome
    }

    done(): void {
      this.isDone = true
      this.told()
    }
  }
  return (next) => (query: Query, caller: Caller) => {
    const told = () => {
      const [one, other] = both.map(({ outcome }) => outcome?.answer.vector.join())
      if (!both.every(({ isDone }) => isDone)) return
      if (one !== other) differing()
      const answer = both.find(({ outcome }) => outcome)?.outcome
      if (answer) caller.settled(answer)
      caller.done?.()
    }
    const both = [new One(told), new One(told)]
    for (const each of both) each.ask(next, query)
    return {
      drop: (why) => both.forEach((each) => each.drop(why)),
      expire: () => both.forEach((each) => each.expire()),
    }
  }
}

const quiet = (caller: Caller): Caller => ({ began() {}, ended() {}, done: () => caller.done?.(), settled() {} })

async function house(layers: PredictorOptions['layers'], names = ['a', 'b', 'c'], onWarning = (_: string) => {}) {
  const workers = names.map((name) => new HandWorker(name))
  return {
    workers,
    predictor: await createPredictor({ workers, right: 'label', layers, verify: { audit: 0 }, onWarning }),
  }
}
const callsOf = (workers: HandWorker[]) => workers.flatMap(({ calls }) => calls)

describe('layers of one’s own', () => {
  it('a cache in front of all others answers an equal query, and each caller owns its answer', async () => {
    const { workers, predictor } = await house((own) => [cache, ...own])
    const first = predictor.predict(query(1))
    await turn()
    callsOf(workers)[0].answer()
    const { output } = await first
    const before = [...output.y.data]
    output.y.data.fill(0)
    const again = await predictor.predict(query(1))
    expect([[...again.output.y.data], again.status, again.reused, callsOf(workers).length]).toEqual([
      before,
      'exact',
      true,
      0,
    ])
    await predictor.close()
  })

  it('a second opinion between deadlines and hedges asks two workers, and never the same twice', async () => {
    let differing = 0
    const { workers, predictor } = await house(([limit, ...rest]) => [limit, secondOpinion(() => differing++), ...rest])
    const first = predictor.predict(query(1))
    await turn()
    const asked = workers.filter(({ calls }) => calls.length)
    expect(asked.length).toBe(2)
    asked[0].calls[0].answer()
    asked[1].calls[0].answer(Float32Array.of(9, 9))
    expect((await first).status).toBe('exact')
    expect(differing).toBe(1)
    await predictor.close()
  })

  it.each([
    [
      'when it is asked',
      () => () => () => {
        throw new Error('oops')
      },
    ],
    [
      'when it is told of an outcome',
      () => (next) => (query, caller) =>
        next(query, {
          ...quiet(caller),
          settled: () => {
            throw new Error('oops')
          },
        }),
    ],
    [
      'when it is dropped',
      () => (next) => (query, caller) => ({
        ...next(query, caller),
        drop: () => {
          throw new Error('oops')
        },
        expire() {},
      }),
    ],
  ] as [string, () => Layer][])('one that throws %s costs its query, and nobody else', async (_, layer) => {
    const warnings: string[] = []
    const isOurs = (query: Query) => query.payload.vector[0] === 13
    const broken = layer()
    const some: Layer = (next) => {
      const own = broken(next)
      return (query, caller) => (isOurs(query) ? own(query, caller) : next(query, caller))
    }
    const { workers, predictor } = await house(
      (own) => [some, ...own],
      ['a'],
      (text) => warnings.push(text),
    )
    const bad = predictor.predict(query(13)).catch((error) => error)
    await turn()
    callsOf(workers)[0]?.answer()
    await turn()
    const good = predictor.predict(query(2))
    await turn()
    callsOf(workers)[0].answer()
    expect((await good).status).toBe('exact')
    await predictor.close()
    const end = await bad
    expect(['exact', 'WORKER', 'CLOSED']).toContain(end.status ?? end.code)
    expect(warnings.filter((text) => text.includes('oops')).length).toBe(end.status ? 0 : 1)
  })

  it('none but the workers is allowed; what is no list of layers is refused', async () => {
    const { workers, predictor } = await house(() => [])
    const first = predictor.predict(query(2))
    await turn()
    callsOf(workers)[0].answer()
    expect((await first).workers).toEqual(['a'])
    await predictor.close()
    await expect(house(() => 'cache' as never)).rejects.toThrow("layers: expected a function that gives an array of layers, got \"cache\"") // biome-ignore format: one line
    await expect(house([cache] as never)).rejects.toThrow('layers: expected a function')
  })
})
