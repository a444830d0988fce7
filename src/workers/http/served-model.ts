/** The model of a server: the found one, the expected one, its tensor format, and its batch size. */

import { platform } from '#platform'
import type { Cancellation } from '../../base/abort'
import { ApproxiferError } from '../../base/errors'
import { hasVectors, Payload, sizesOf } from '../../base/payload'
import type { Probed } from '../../base/saved'
import type { Signature, TensorList } from '../../base/tensor'
import { machineOf } from '../remote/endpoints'
import { anotherQuery, isSameModel, type ModelIdentity } from '../remote/model'
import { faultOf, type OipServer, type ServerCall, ServerError, type ServerReply } from './oip-server'
import type { HttpSettings } from './options'
import { probedOf, queryFor } from './probed'

/** Limits for trying batches: input values of a batch, and the time of a single inference. */
const MOST_VALUES = 2 ** 20
const QUICK_MS = 1000

export class ServedModel {
  /** The model at the last inspection; undefined before, and if that model cannot be used. */
  found: ModelIdentity | undefined
  /** Largest batch that the server answered at its first inspection. */
  maxBatch = 1
  /** The address that answered. Servers with the same address are one machine, whatever their names and models. */
  machine: string
  /** The model that the server should have; by default the first one found. */
  #expected: ModelIdentity | undefined
  /** The version and fingerprint in the expected model's reply to the probe query. */
  #reported: Pick<ServerReply, 'version' | 'fingerprint'> = { version: undefined, fingerprint: undefined }
  /** Whether queries are sent as raw bytes; undefined until that is found out. */
  #binary: boolean | undefined

  constructor(
    private readonly server: OipServer,
    url: string,
    private readonly settings: HttpSettings,
  ) {
    this.machine = machineOf(url)
  }

  /** From the answer to the probe query. */
  get scales(): readonly number[] | undefined {
    return this.found && sizesOf(this.found.answer, this.found.signature.outputs)
  }

  get signature(): Signature {
    return (this.#expected as ModelIdentity).signature
  }

  get name(): string | undefined {
    return this.#expected?.name ?? this.#expected?.fingerprint
  }

  get probed(): Probed | undefined {
    return this.#expected && probedOf(this.#expected, this.settings.probe)
  }

  get isExpected(): boolean {
    return this.#isSame(this.found as ModelIdentity, this.#expected as ModelIdentity)
  }

  expect(identity: ModelIdentity): void {
    this.#expected = identity
  }

  /** Asks anew whether the server takes raw bytes, since the server may come back as another program. */
  forgetFormat(): void {
    this.#binary = undefined
  }

  /** For each query its answer or an error. @throws ServerError; ApproxiferError PROTOCOL */
  infer(queries: readonly TensorList[], abort: ServerCall): Promise<ServerReply['outcomes']> {
    const { server, signature } = this
    return server.infer(queries, signature, this.#binary === true, abort).then((reply) => this.#own(reply))
  }

  #own(reply: ServerReply): ServerReply['outcomes'] {
    const told = this.#reported
    const other = (['version', 'fingerprint'] as const).find((what) => reply[what] !== told[what])
    if (!other) return reply.outcomes
    const text = `${this.server.name} has ${other} '${reply[other]}' now instead of '${told[other]}'`
    throw new ServerError('WORKER', text, { replaced: true })
  }

  /** Requests the metadata and an answer to the probe query. @throws ApproxiferError MODEL if the model is not the expected one; ServerError */
  async inspect(abort: Cancellation): Promise<void> {
    const signature = await this.server.signature(abort).catch((error) => {
      if ((error as ApproxiferError).code === 'MODEL') this.found = undefined
      throw error
    })
    const { clock, probe } = this.settings
    const query = queryFor(signature, probe)
    const from = clock.now()
    const { binary, answer, told } = await this.#probe(query, signature, abort).catch((error) => {
      throw this.#isGuessed(signature) ? hinted(error) : error
    })
    const isQuick = clock.now() - from < QUICK_MS
    const isFirst = this.found === undefined
    this.found = { signature, answer, fingerprint: told.fingerprint }
    this.#expected ??= this.found
    this.#binary = binary
    const { address, takesBatches } = this.server
    if (isFirst && address) this.machine = machineOf(`http://${address}`)
    if (isFirst && isQuick && takesBatches) this.maxBatch = await this.#largestBatch(query, this.found, abort)
    if (!this.isExpected) throw this.difference()
    this.#reported = told
  }

  difference(): ApproxiferError {
    const isAlike = JSON.stringify(this.found?.signature) === JSON.stringify(this.#expected?.signature)
    const what = isAlike ? 'its answer to the probe query is another' : 'its metadata differ'
    return new ApproxiferError('MODEL', `${this.server.name} has another model (${what})`)
  }

  /** Whether the default probe query may be invalid for the model: any numbers are valid pixels, but not any integers are valid tokens. */
  #isGuessed(signature: Signature): boolean {
    return this.settings.probe.query === undefined && !hasVectors(signature)
  }

  async #probe(query: TensorList, signature: Signature, abort: Cancellation) {
    const ask = async (binary: boolean) => {
      const { outcomes, ...told } = await this.server.infer([query], signature, binary, abort, true)
      const [answer] = outcomes
      if (answer instanceof Error) throw answer
      return { binary, answer, told }
    }
    const { binary: said } = this.settings
    const binary = said === 'auto' ? (this.#binary ?? (await this.server.announcesBinary(abort))) : said
    return ask(binary).catch((error) => {
      // A server of another origin may announce the extension, but not allow its header by CORS.
      if (!platform.isPage || !binary || said !== 'auto' || abort.aborted || faultOf(error).busy) throw error
      return ask(false)
    })
  }

  /** The largest of the batch sizes 16, 8, 4, 2 for which the server gives the probe's answer: it may accept less than its metadata say. */
  async #largestBatch(query: TensorList, identity: ModelIdentity, abort: Cancellation): Promise<number> {
    const { signature } = identity
    const { size } = new Payload(query)
    const most = Math.min(this.settings.maxBatch, Math.floor(MOST_VALUES / Math.max(1, size)))
    for (let count = most; count > 1; count = Math.floor(count / 2)) {
      const others = Array.from({ length: count - 1 }, (_, i) => anotherQuery(query, i + 2))
      try {
        const binary = this.#binary === true
        const { outcomes } = await this.server.infer([...others, query], signature, binary, abort, true)
        const answer = outcomes[count - 1]
        if (!(answer instanceof Error) && this.#isSame({ signature, answer }, identity)) return count
      } catch (error) {
        if (abort.aborted || faultOf(error).down) throw error
      }
    }
    return 1
  }

  #isSame(a: ModelIdentity, b: ModelIdentity): boolean {
    return isSameModel(a, b, this.settings.probe.rounding)
  }
}

/** Adds advice to an error that the model itself returned. */
function hinted(error: unknown): unknown {
  if (!(error instanceof ServerError) || error.fault.down || error.fault.busy) return error
  const text = `${error.message}; the option probe.query says what to ask it in place of ones and zeros`
  return new ServerError(error.code, text, error.fault)
}
