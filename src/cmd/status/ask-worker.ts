import * as http from 'node:http'
import * as https from 'node:https'
import type { WorkerStatus } from '../../monitor/endpoint.ts'
import { redirected, unansweredHint } from '../../runtime/address.ts'
import { boundedText } from '../../runtime/bounded-text.ts'
import { messageOf } from '../../runtime/errors.ts'
import { count, flag, list, number, object, optional, text } from '../../runtime/shape.ts'

/** What a worker says of itself, or why it says nothing. */
export type Asked = WorkerStatus | Unanswered

/** No worker answers at this address. */
export interface Unanswered {
  readonly url: string
  /** A sentence about the address. */
  readonly error: string
}

const timeoutMs = 5000
/** Thousands of partitions fit. */
const maxAnswerBytes = 64 * 2 ** 20

/** What `status` reads of the answer. */
const statusShape = object({
  worker: text,
  ready: flag,
  reasons: list(text),
  sinks: list(object({ name: text, waiting: optional(text) })),
  partitions: list(
    object({
      topic: text,
      partition: count,
      waiting: optional(text),
      oldest_unacknowledged_s: number,
      flush_due_s: optional(number),
    }),
  ),
})

/** Asks a worker for its `/status`. @param url of its `--http`, without a slash at its end */
export async function askWorker(url: string): Promise<Asked> {
  const foreign = (why: string) => ({ url, error: `${url} is not the --http of a worker: ${why}` })
  let answer: Answer
  try {
    answer = await get(`${url}/status`)
  } catch (error) {
    const hint = unansweredHint('--workers')
    return { url, error: `the worker at ${url} does not answer: ${messageOf(error)}; ${hint}` }
  }
  const { status, location, body } = answer
  if (status >= 300 && status < 400) return foreign(redirected(status, location))
  const [line = ''] = body.split('\n', 1)
  if (status !== 200) return foreign(`it answers ${status}, ${line.slice(0, 200)}`)
  try {
    const content: unknown = JSON.parse(body)
    statusShape(content, 'the answer')
    return content as WorkerStatus
  } catch (error) {
    return foreign(messageOf(error))
  }
}

interface Answer {
  readonly status: number
  readonly location: string | undefined
  readonly body: string
}

/** Not `fetch`, which refuses ports that browsers avoid: a worker may listen at any. */
async function get(url: string): Promise<Answer> {
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      const client = url.startsWith('https:') ? https : http
      client.get(url, { signal, agent: false }, resolve).on('error', reject)
    })
    const { statusCode = 0, headers } = response
    const body = await boundedText({ body: response }, maxAnswerBytes)
    return { status: statusCode, location: headers.location, body }
  } catch (error) {
    throw signal.aborted ? new Error(`nothing within ${timeoutMs / 1000} s`) : error
  }
}
