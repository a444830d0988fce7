/** Who asks in the place of others, as of several callers that have the same query: it is told how that ends, and tells them. */

import type { ApproxiferError } from '../errors'
import { Caller } from './caller'
import type { Prediction } from './prediction'

const nobody = () => {}

export class SharedCaller extends Caller {
  /** @param first  whose choices and deadline it has @param since  now */
  constructor(
    first: Pick<Caller, 'choices' | 'dueAt' | 'turn'>,
    since: number,
    resolve: (prediction: Prediction) => void,
    reject: (error: ApproxiferError) => void,
  ) {
    super(first.choices, since, first.dueAt - since, resolve, reject, first.turn)
  }

  /** Those that it asks for are counted, not it. */
  override answer(prediction: Prediction): void {
    super.answer(prediction, nobody)
  }

  override fail(error: ApproxiferError): void {
    super.fail(error, nobody)
  }
}
