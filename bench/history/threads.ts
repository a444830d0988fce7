/** A history of real threads that are killed while they are at work: what was asked, given to workers, answered and found out. */

import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { createPredictor, localWorkers, type PredictorOptions } from 'approxifer'
import { FaultyWorker } from 'approxifer/testing'
import { vectorOf } from '../../src/base/payload'
import { type Random, seeded } from '../../src/base/random'
import type { TensorList } from '../../src/base/tensor'
import type { OnnxModel } from '../../src/workers/onnx/model'
import { HeardEvents, together, verdicts } from '../../test/shared/heard-events'
import type { History, Promised } from '../../test/simulation/history'
import { MODEL } from '../soak/digits'
import { Callers, DEADLINE_MS } from './callers'
import { Log, labelOf } from './log'

export interface Setting {
  name: string
  options: Pick<PredictorOptions, 'scheme' | 'policy' | 'memory'>
  /** Whether the first worker lies now and then. */
  lies: boolean
}

/** What became of it. */
export interface Told extends History {
  kills: number
  endings: Record<string, number>
}

const WORKERS = 6
const LIMIT = 48
const HANG_MS = 2000
/** Between two kills, once all threads are at work again; and how long a liar lies or does not. */
const KILL_MS = 100
const LIE_MS = 1000
/** What is noted at the beginning of a turn may have come so much later. */
const TURN_MS = 50
/** How late this thread comes to what is due, beside stalls. */
const SLACK_MS = 200

/** Notes what it is given, and what it says. */
class Witness extends FaultyWorker {
  running = 0

  constructor(
    inner: ConstructorParameters<typeof FaultyWorker>[0],
    private readonly log: Log,
  ) {
    super(inner, {}, 1)
  }

  override async infer(...call: Parameters<FaultyWorker['infer']>): Promise<TensorList> {
    const { name, log } = this
    const query = log.queryOf(vectorOf(call[0]))
    const lied = this.faults.lie === 1
    log.note({ what: 'given', query, worker: name, identity: name, fits: this.free })
    this.running++
    try {
      const answer = await super.infer(...call)
      log.note({ what: 'replied', query, worker: name, identity: name, lied, says: labelOf(vectorOf(answer)) })
      return answer
    } finally {
      this.running--
    }
  }
}

/** Kills one thread after the other, in the middle of what it does. */
class Killer {
  kills = 0
  readonly #threads = new Set<Worker>()
  readonly #over = new AbortController()

  readonly createWorker = (): Worker => {
    const thread = new Worker(new URL('../../dist/worker.js', import.meta.url), { execArgv: [] })
    this.#threads.add(thread)
    thread.once('exit', () => this.#threads.delete(thread))
    return thread
  }

  async run(random: Random, areUp: () => boolean): Promise<void> {
    const { signal } = this.#over
    while (!signal.aborted) {
      await sleep(KILL_MS * (0.5 + random.next()), undefined, { signal }).catch(() => {})
      if (signal.aborted || this.#threads.size < WORKERS || !areUp()) continue
      await [...this.#threads][random.below(WORKERS)].terminate()
      this.kills++
    }
  }

  end(): void {
    this.#over.abort()
  }
}

/** @param digits  images that are asked for */
export async function ofThreads(
  setting: Setting,
  digits: readonly Float32Array[],
  model: OnnxModel,
  queries: number,
): Promise<Told> {
  const [log, killer, random] = [new Log(), new Killer(), seeded(1)]
  const { createWorker } = killer
  const threads = await localWorkers({ model: MODEL, workers: WORKERS, createWorker, onWarning() {} })
  const workers = threads.map((worker) => new Witness(worker, log))
  for (const { name } of workers) log.note({ what: 'joins', worker: name })
  const heard = new HeardEvents(false)
  const predictor = await createPredictor({
    ...setting.options,
    ...{ workers, hangMs: HANG_MS, limits: { queries: LIMIT }, onWarning() {} },
    onEvent: together(
      heard.onEvent,
      verdicts(({ identity, kind }) => log.note({ what: 'verdict', identity, kind })),
    ),
  })
  const lying = setting.lies && setInterval(() => {
    workers[0].faults = workers[0].faults.lie ? {} : { lie: 1, attack: 'flip' }
  }, LIE_MS) // biome-ignore format: one statement
  const callers = new Callers(
    predictor,
    log,
    random,
    setting.options.policy ?? (setting.options.scheme ? 'auto' : 'retry'),
    heard,
  )
  const killing = killer.run(seeded(2), () => workers.every(({ free, running }) => free || running))
  await callers.ask(digits, model, queries)
  if (lying) clearInterval(lying)
  killer.end()
  await killing
  const { exact, checked, recovered, unverified, failed, hedges } = predictor.stats()
  const ended = exact + checked + recovered + unverified + Object.values(failed).reduce((sum, n) => sum + n, 0)
  log.note({ what: 'hedges', sent: hedges.sent })
  await predictor.close()
  const running = workers.reduce((sum, each) => sum + each.running, 0)
  log.note({ what: 'over', ended, timers: 0, running, unended: heard.unended })
  log.end()
  return { promised: promisedBy(setting), entries: log.entries, kills: killer.kills, endings: callers.endings }
}

function promisedBy({ options: { scheme } }: Setting): Promised {
  const byzantine = scheme?.byzantine ?? 0
  return {
    byzantine,
    preset: false,
    answersIn: DEADLINE_MS,
    hangMs: HANG_MS,
    limit: LIMIT,
    minConfidence: byzantine ? 0.98 : 0.9,
    hedges: { burst: 10, share: 0.2 },
    rounding: 0.05,
    slackMs: SLACK_MS,
    turnMs: TURN_MS,
  }
}
