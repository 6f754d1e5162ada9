import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { gunzipSync } from 'node:zlib'

/** One request as the stand-in got it. */
export interface StandInRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: string
  /** Bytes as they came, before gzip was undone. */
  readonly bytes: number
}

/** One operation of a bulk request. */
export interface StandInOperation {
  readonly index: string
  readonly id: string
  readonly source: string
  /** Asks for an alias that does not exist: it stores nothing. */
  readonly isControl: boolean
}

/** Answers a request in the stand-in's place and returns true, or returns false. */
export type Trouble = (
  request: StandInRequest,
  response: ServerResponse,
) => boolean | Promise<boolean>

/**
 * What an Elasticsearch does that takes `create` operations and keeps their documents, with
 * troubles that a real one cannot be made to have at will. It is no measure of what Elasticsearch
 * accepts: for that there is the real one.
 */
export interface StandInElasticsearch {
  readonly url: string
  /** `_index/_id` → the source as it came. */
  readonly documents: Map<string, string>
  readonly requests: StandInRequest[]
  readonly bulks: () => readonly StandInRequest[]
  /** This number of the next bulk requests get this trouble instead of an answer. */
  readonly trouble: (times: number, trouble: Trouble) => void
  /** Every request asks this first. */
  intercept: Trouble | undefined
  /** Most bulk requests that were in its hands at once. */
  mostAtOnce: number
  readonly stop: () => Promise<void>
}

export function json(response: ServerResponse, status: number, body: unknown): true {
  return send(
    response,
    status,
    'application/vnd.elasticsearch+json;compatible-with=9',
    JSON.stringify(body),
  )
}

export function send(
  response: ServerResponse,
  status: number,
  contentType: string,
  body: string,
): true {
  response.writeHead(status, { 'content-type': contentType, 'x-elastic-product': 'Elasticsearch' })
  response.end(body)
  return true
}

/** An error as Elasticsearch words it. */
export function errorBody(status: number, type: string, reason: string): unknown {
  return { error: { root_cause: [{ type, reason }], type, reason }, status }
}

export function operationsOf(body: string): StandInOperation[] {
  const lines = body.split('\n')
  const operations: StandInOperation[] = []
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const { create } = JSON.parse(lines[i]!) as {
      create: { _index: string; _id: string; require_alias?: boolean }
    }
    operations.push({
      index: create._index,
      id: create._id,
      source: lines[i + 1]!,
      isControl: create.require_alias === true,
    })
  }
  return operations
}

/** Starts a stand-in for the time of a test, on a port of its own or on the one given. */
export async function standIn(t: TestContext, port = 0): Promise<StandInElasticsearch> {
  const documents = new Map<string, string>()
  const requests: StandInRequest[] = []
  const stored = new Map<string, unknown>()
  const troubles: Trouble[] = []
  let atOnce = 0

  const bulk = (request: StandInRequest, response: ServerResponse): true => {
    let errors = false
    const items = operationsOf(request.body).map(({ index, id, source, isControl }) => {
      if (isControl) {
        errors = true
        return {
          create: {
            status: 404,
            error: { type: 'index_not_found_exception', reason: `no such index [${index}]` },
          },
        }
      }
      const key = `${index}/${id}`
      if (!documents.has(key)) {
        documents.set(key, source)
        return { create: { status: 201 } }
      }
      errors = true
      const reason = `[${id}]: version conflict, document already exists (current version [1])`
      return {
        create: { status: 409, error: { type: 'version_conflict_engine_exception', reason } },
      }
    })
    return json(response, 200, { errors, items })
  }

  const multiGet = (request: StandInRequest, response: ServerResponse): true => {
    const { docs } = JSON.parse(request.body) as { docs: { _index: string; _id: string }[] }
    return json(response, 200, {
      docs: docs.map(({ _index, _id }) => {
        const source = documents.get(`${_index}/${_id}`)
        return source === undefined
          ? { _index, _id, found: false }
          : { _index, _id, found: true, _source: JSON.parse(source) as unknown }
      }),
    })
  }

  const answer = async (request: StandInRequest, response: ServerResponse): Promise<void> => {
    requests.push(request)
    if ((await server.intercept?.(request, response)) === true) return
    const { method, path } = request
    if (path === '/') json(response, 200, { version: { number: '9.5.3' } })
    else if (path === '/_mget') multiGet(request, response)
    else if (path === '/_bulk') {
      const trouble = troubles.shift()
      if (trouble === undefined || !(await trouble(request, response))) bulk(request, response)
    } else if (method === 'PUT') {
      stored.set(path, JSON.parse(request.body))
      json(response, 200, { acknowledged: true })
    } else if (method === 'GET' && stored.has(path)) {
      const [, kind, name] = path.split('/')
      const template = { name, [kind!.slice(1)]: stored.get(path) }
      json(
        response,
        200,
        kind === '_ilm' ? stored.get(path) : { [`${kind!.slice(1)}s`]: [template] },
      )
    } else json(response, 404, errorBody(404, 'resource_not_found_exception', `no ${path}`))
  }

  const http = createServer((incoming, response) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('error', () => {})
    incoming.on('end', () => {
      const raw = Buffer.concat(chunks)
      const url = new URL(incoming.url!, 'http://stand-in')
      const request: StandInRequest = {
        method: incoming.method!,
        path: url.pathname,
        query: url.searchParams,
        headers: incoming.headers,
        body: (incoming.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw).toString(
          'utf8',
        ),
        bytes: raw.length,
      }
      const isBulk = request.path === '/_bulk'
      if (isBulk) {
        atOnce++
        server.mostAtOnce = Math.max(server.mostAtOnce, atOnce)
        response.on('close', () => {
          atOnce--
        })
      }
      answer(request, response).catch((error: unknown) => {
        response.destroy(error instanceof Error ? error : undefined)
      })
    })
  })
  await new Promise<void>((resolve) => http.listen(port, '127.0.0.1', resolve))
  const stop = async (): Promise<void> => {
    http.closeAllConnections()
    await new Promise<void>((resolve) => http.close(() => resolve()))
  }
  t.after(stop)
  const server: StandInElasticsearch = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    documents,
    requests,
    bulks: () => requests.filter(({ path }) => path === '/_bulk'),
    trouble: (times, trouble) => {
      for (let i = 0; i < times; i++) troubles.push(trouble)
    },
    intercept: undefined,
    mostAtOnce: 0,
    stop,
  }
  return server
}
