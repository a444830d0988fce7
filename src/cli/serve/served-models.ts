/** The models of `approxifer serve`: each is loaded, replaced and unloaded as its configuration says, independently of the others. */

import { ApproxiferError } from '../../base/errors'
import type { ModelConfig } from './config'
import { comesFromElsewhere, DesiredModel, type DesireOutcome, type Serving } from './desired-model'
import type { ServerSettings } from './options'
import type { ServedStats } from './overview'

export class ServedModels {
  readonly #models = new Map<string, DesiredModel>()
  /** The first configuration, as JSON, of each model that the server started with. Readiness waits for these; a model added later counts once it has been served. */
  readonly #first = new Map<string, string>()
  readonly #context: Serving
  #changed: () => void = () => {}
  #failed: (error: Error) => void = () => {}

  constructor(
    context: Omit<Serving, 'onChange' | 'isEnd'>,
    private readonly rule: ServerSettings['ready'],
  ) {
    const isEnd = (name: string, error: Error) => {
      const { model = {} } = this.#models.get(name) ?? {}
      const is = JSON.stringify(model) === this.#first.get(name) && this.#isFinal(model, error)
      if (is) this.#failed(error)
      return is
    }
    this.#context = { ...context, onChange: () => this.#changed(), isEnd }
  }

  /** The names of all configured models. */
  get names(): string[] {
    return this.#wanted.map(({ name }) => name)
  }

  get #wanted(): DesiredModel[] {
    return [...this.#models.values()].filter(({ model }) => model)
  }

  /** The models that must be ready for the server to be ready. */
  get #counted(): DesiredModel[] {
    const counted = this.#wanted.filter(({ name, isServed }) => isServed || this.#first.has(name))
    return counted.length ? counted : this.#wanted
  }

  /** Resolves when the server is ready for the first time. @throws the first error that no retry can resolve */
  open(models: Record<string, ModelConfig>): Promise<void> {
    return new Promise((resolve, reject) => {
      const isOpen = () => this.#counted[this.rule === 'any' ? 'some' : 'every'](({ isServed }) => isServed)
      this.#changed = () => isOpen() && resolve()
      this.#failed = reject
      for (const [name, model] of Object.entries(models)) {
        this.#first.set(name, JSON.stringify(model))
        void this.#become(name, model)
      }
    })
  }

  /**
   * Applies a new configuration: loads new models and those whose configuration or files have changed, and unloads those that are gone.
   *
   * @returns the names of these models, once each has been loaded or unloaded, or has failed for the first time
   */
  async want(models: Record<string, ModelConfig>): Promise<Record<'loaded' | 'unloaded' | 'failed', string[]>> {
    const gone = this.names.filter((name) => !Object.hasOwn(models, name))
    const wishes = [...Object.entries(models), ...gone.map((name) => [name, undefined] as const)]
    const outcomes = await Promise.all(wishes.map(([name, model]) => this.#become(name, model)))
    const of = (is: (outcome: DesireOutcome) => boolean) =>
      wishes.flatMap(([name], i) => (is(outcomes[i]) ? [name] : []))
    const failed = of((outcome) => outcome instanceof Error)
    return { loaded: of((outcome) => outcome === 'loaded'), unloaded: of((outcome) => outcome === 'unloaded'), failed }
  }

  /** Why the server is not ready, by the option `ready`; undefined if it is. */
  get unready(): string | undefined {
    const reasons = this.#counted.map(({ unready }) => unready)
    if (this.rule === 'any' && reasons.includes(undefined)) return undefined
    return reasons.find((reason) => reason !== undefined)
  }

  /** Whether a model is still in its first attempt to load. */
  get isBeginning(): boolean {
    return this.#wanted.some(({ isBeginning }) => isBeginning)
  }

  /** Why a configured model is not in the gateway; undefined if it is there, or not configured. */
  missing(name: string): string | undefined {
    const served = this.#models.get(name)
    return served?.model && !this.#context.gateway.names.includes(name) ? served.unready : undefined
  }

  /** The statistics of each model that has been loaded. */
  *stats(): Iterable<[model: string, stats: ServedStats]> {
    for (const name of this.#context.gateway.names) {
      try {
        const predictor = this.#context.gateway.predictor(name)
        yield [name, { ...predictor.stats(), modelVersions: predictor.modelVersions() }]
      } catch {} // the model is still loading
    }
  }

  /** Begins no more loads, and aborts those that wait for workers. */
  stop(): void {
    for (const model of this.#models.values()) model.stop()
  }

  async #become(name: string, model: ModelConfig | undefined) {
    const served = this.#models.get(name) ?? new DesiredModel(name, this.#context)
    this.#models.set(name, served)
    const outcome = await served.become(model)
    if (served.model || outcome !== 'unloaded') return outcome
    this.#models.delete(name)
    this.#first.delete(name)
    return outcome
  }

  /** Whether an error ends the start of the server: a wrong option, an invalid local file, a missing package. An error that remote workers cause does not, if other models are served. */
  #isFinal(model: ModelConfig, error: Error): boolean {
    if (!comesFromElsewhere(model) || error.message.includes('npm install')) return true
    return !(error instanceof ApproxiferError) && !this.#wanted.some(({ isServed }) => isServed)
  }
}
