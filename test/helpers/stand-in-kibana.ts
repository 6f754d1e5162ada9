import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import type { SavedObject } from '../../src/kibana/saved-object.ts'

/** What a stand-in answers to one request, instead of what it would by itself. */
export interface StandInAnswer {
  readonly status: number
  readonly body: unknown
}

/** A Kibana that keeps saved objects in memory and answers as 8.12 does; `answer` overrides it. */
export interface StandInKibana {
  readonly url: string
  /** By `space type id`. */
  readonly objects: Map<string, SavedObject>
  /** `METHOD path` of every request. */
  readonly requests: readonly string[]
  /** The `authorization` of the last request. */
  readonly authorization: () => string | undefined
  /** The objects of every import, in order. */
  readonly imports: readonly (readonly SavedObject[])[]
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of request) pieces.push(piece as Buffer)
  return Buffer.concat(pieces).toString('utf8')
}

/** The file in a multipart body, and its name. */
function uploaded(
  request: IncomingMessage,
  body: string,
): { readonly name: string; readonly text: string } {
  const boundary = /boundary=(.+)$/.exec(request.headers['content-type'] ?? '')?.[1]
  const [, part] = body.split(`--${boundary}`)
  const [head, text] = part!.split(/\r\n\r\n([\s\S]*)/) as [string, string]
  return { name: /filename="([^"]*)"/.exec(head)![1]!, text }
}

export async function startKibana(
  t: TestContext,
  options: {
    readonly version?: string
    readonly spaces?: readonly string[]
    readonly answer?: (method: string, path: string, attempt: number) => StandInAnswer | undefined
  } = {},
): Promise<StandInKibana> {
  const { version = '8.12.2', spaces = [], answer } = options
  const objects = new Map<string, SavedObject>()
  const requests: string[] = []
  const imports: (readonly SavedObject[])[] = []
  let authorization: string | undefined

  const respond = (request: IncomingMessage, body: string): StandInAnswer => {
    const url = new URL(request.url!, 'http://kibana')
    const [, space = 'default', path] = /^(?:\/s\/([^/]+))?(\/.*)$/.exec(url.pathname)!
    const keyOf = ({ type, id }: { type: string; id: string }) => `${space} ${type} ${id}`
    if (request.method === 'POST' && request.headers['kbn-xsrf'] === undefined) {
      return {
        status: 400,
        body: { statusCode: 400, message: 'Request must contain a kbn-xsrf header.' },
      }
    }
    switch (`${request.method} ${path}`) {
      case 'GET /api/status':
        return {
          status: 200,
          body: { version: { number: version }, status: { overall: { level: 'available' } } },
        }
      case 'POST /api/saved_objects/_export': {
        const wanted = (JSON.parse(body) as { objects: { type: string; id: string }[] }).objects
        const absent = wanted.filter((name) => !objects.has(keyOf(name)))
        if (absent.length > 0) {
          const failed = absent.map((name) => ({
            ...name,
            error: { statusCode: 404, message: 'not found' },
          }))
          return {
            status: 400,
            body: { message: 'Error fetching objects to export', attributes: { objects: failed } },
          }
        }
        return {
          status: 200,
          body: wanted.map((name) => JSON.stringify(objects.get(keyOf(name)))).join('\n'),
        }
      }
      case 'POST /api/saved_objects/_import': {
        const { name, text } = uploaded(request, body)
        if (!name.endsWith('.ndjson'))
          return { status: 400, body: { message: `Invalid file extension ${name}` } }
        const imported = text
          .split('\n')
          .filter((line) => line.trim() !== '')
          .map((line) => JSON.parse(line) as SavedObject)
        imports.push(imported)
        for (const object of imported) {
          // An id is unique across spaces: if another one has it, the object gets a new one.
          const elsewhere = [...objects.keys()].some(
            (key) => key.endsWith(` ${object.type} ${object.id}`) && key !== keyOf(object),
          )
          const stored = elsewhere ? { ...object, id: `new-${objects.size}` } : object
          objects.set(keyOf(stored), stored)
        }
        return { status: 200, body: { success: true, successCount: imported.length, warnings: [] } }
      }
      default: {
        const [, wanted] = /^\/api\/spaces\/space\/(.+)$/.exec(path!) ?? []
        if (wanted !== undefined && spaces.includes(wanted))
          return { status: 200, body: { id: wanted } }
        return { status: 404, body: { statusCode: 404, error: 'Not Found', message: 'Not Found' } }
      }
    }
  }

  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const line = `${request.method} ${new URL(request.url!, 'http://kibana').pathname}`
      requests.push(line)
      authorization = request.headers.authorization
      const attempt = requests.filter((earlier) => earlier === line).length
      const [method, path] = line.split(' ') as [string, string]
      const { status, body: answered } = answer?.(method, path, attempt) ?? respond(request, body)
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(typeof answered === 'string' ? answered : JSON.stringify(answered))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    objects,
    requests,
    imports,
    authorization: () => authorization,
  }
}
