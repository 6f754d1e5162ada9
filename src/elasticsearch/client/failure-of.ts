import { errors } from '@elastic/elasticsearch'
import { DeadlineExceeded } from '../../runtime/deadline.ts'
import { messageOf } from '../../runtime/errors.ts'
import { UnlikeAnswer } from '../../runtime/shape.ts'
import { errorIn } from './error-body.ts'
import { AnswerTooLarge, maxAnswerBytes, NoAnswerInTime, RequestFailure } from './failure.ts'

/**
 * The client's errors as what the sink judges. They carry bodies and headers, secrets among them:
 * only words are kept. `way`: of the proxy, if there is one.
 */
export function failureOf(error: unknown, way: string): RequestFailure {
  if (error instanceof errors.ResponseError) {
    const status = error.statusCode
    const { type, reason } = errorIn(error.body)
    const message = `${type ?? 'refused'} (${status}): ${reason ?? `status ${status}`}`
    return new RequestFailure(message, { status, type })
  }
  if (error instanceof UnlikeAnswer)
    return new RequestFailure(`the answer is not one of Elasticsearch: ${error.message}`)
  if (error instanceof RequestFailure) return error
  if (error instanceof DeadlineExceeded) return new NoAnswerInTime()
  if (error instanceof errors.RequestAbortedError && /content length/.test(error.message))
    return new AnswerTooLarge(maxAnswerBytes)
  if (error instanceof errors.RequestAbortedError && way !== '')
    return new RequestFailure('the proxy refuses to connect to it')
  if (error instanceof errors.TimeoutError) return new NoAnswerInTime()
  if (error instanceof errors.ProductNotSupportedError) {
    return new RequestFailure(
      'what answers is not Elasticsearch (no header X-Elastic-Product): a proxy, or another product',
    )
  }
  if (error instanceof errors.DeserializationError)
    return new RequestFailure('the answer is no JSON, or was cut off')
  // Addresses and ports of a connection would make the same failure a new one each time.
  return new RequestFailure(messageOf(error).replace(/ - Local: .*$/s, ''))
}
