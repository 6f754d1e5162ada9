import { unansweredHint } from '../../runtime/address.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import { AnswerTooLarge, RequestFailure } from './failure.ts'

/**
 * Runs what a command asks for: an Elasticsearch that fails ends the command.
 * @throws ArchiverError `UNREACHABLE`
 */
export async function guarded<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    if (!(error instanceof RequestFailure)) throw error
    throw new ArchiverError('UNREACHABLE', `Elasticsearch ${describe(error)}`, {}, error)
  }
}

function describe(failure: RequestFailure): string {
  const { message, status } = failure
  if (status !== undefined) return `refused a request: ${message}`
  if (failure instanceof AnswerTooLarge) return `gave no answer to use: ${message}`
  return `does not answer: ${message}; ${unansweredHint('--elasticsearch')}`
}
