import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import { RequestFailure } from './failure.ts'

/**
 * Runs what a command asks for: an Elasticsearch that fails ends the command.
 * @throws ArchiverError `UNREACHABLE`
 */
export async function guarded<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    if (!(error instanceof RequestFailure)) throw error
    throw new ArchiverError(
      'UNREACHABLE',
      `Elasticsearch did not answer: ${messageOf(error)}`,
      {},
      error,
    )
  }
}
