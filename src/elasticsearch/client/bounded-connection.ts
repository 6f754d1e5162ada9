import { pipeline, Readable } from 'node:stream'
import { promisify } from 'node:util'
import { createUnzip, unzip, type ZlibOptions } from 'node:zlib'
import {
  type ConnectionRequestOptions,
  type ConnectionRequestOptionsAsStream,
  type ConnectionRequestParams,
  type ConnectionRequestResponse,
  type ConnectionRequestResponseAsStream,
  errors,
  UndiciConnection,
} from '@elastic/elasticsearch'
import { systemCode } from '../../runtime/errors.ts'

const inflate = promisify(unzip) as (bytes: Buffer, options: ZlibOptions) => Promise<Buffer>

/**
 * The client's connection, which inflates answers itself: the transport does so without a limit,
 * and an answer of 64 MiB may stand for 64 GiB. It would not inflate a stream at all.
 * `maxResponseSize` counts what comes out.
 */
export class BoundedConnection extends UndiciConnection {
  override request(
    params: ConnectionRequestParams,
    options: ConnectionRequestOptions,
  ): Promise<ConnectionRequestResponse>
  override request(
    params: ConnectionRequestParams,
    options: ConnectionRequestOptionsAsStream,
  ): Promise<ConnectionRequestResponseAsStream>
  override async request(
    params: ConnectionRequestParams,
    options: ConnectionRequestOptions | ConnectionRequestOptionsAsStream,
  ): Promise<never> {
    const response: ConnectionRequestResponse | ConnectionRequestResponseAsStream =
      await super.request(params, options as ConnectionRequestOptions)
    const { 'content-encoding': encoding, ...headers } = response.headers
    if (!/gzip|deflate/i.test(String(encoding ?? ''))) return response as never
    const body =
      response.body instanceof Readable
        ? inflatedStream(response.body)
        : await inflated(response.body, options.maxResponseSize ?? Number.POSITIVE_INFINITY)
    return { ...response, headers, body } as never
  }
}

/** Its reader gets the error of either; leaving it ends both. */
function inflatedStream(compressed: Readable): Readable {
  const plain = createUnzip()
  pipeline(compressed, plain, () => {})
  return plain
}

async function inflated(bytes: Buffer | string, maxBytes: number): Promise<string> {
  try {
    return (await inflate(Buffer.from(bytes as string), { maxOutputLength: maxBytes })).toString(
      'utf8',
    )
  } catch (error) {
    if (systemCode(error) !== 'ERR_BUFFER_TOO_LARGE')
      throw new errors.DeserializationError(String(error), '')
    throw new errors.RequestAbortedError(
      `The content length is bigger than the maximum allowed string (${maxBytes})`,
    )
  }
}
