import { createServer, request as httpRequest } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'

/** A proxy as companies have them: it forwards requests for http, and opens tunnels for https. */
export interface ForwardProxy {
  readonly url: string
  /** Absolute URLs that were asked for, and the targets of tunnels. */
  readonly forwarded: string[]
  readonly tunnels: string[]
  /** What came as `proxy-authorization`. */
  readonly logins: (string | undefined)[]
  /** What every request is answered with, if it is set. */
  refusal: number | undefined
}

/** Starts one for the time of a test or suite. */
export async function forwardProxy(t: {
  after(fn: () => Promise<void>): void
}): Promise<ForwardProxy> {
  const sockets = new Set<Socket>()
  const track = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
  }
  const server = createServer((request, response) => {
    proxy.forwarded.push(request.url ?? '')
    proxy.logins.push(request.headers['proxy-authorization'])
    if (proxy.refusal !== undefined || !URL.canParse(request.url ?? '')) {
      response
        .writeHead(proxy.refusal ?? 400, { 'content-type': 'text/html' })
        .end('<html>no</html>')
      return
    }
    const onward = httpRequest(
      request.url!,
      { method: request.method, headers: request.headers },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(response)
      },
    )
    onward.on('error', () => response.writeHead(502).end())
    request.pipe(onward)
  })
  server.on('connection', track)
  server.on('connect', (request, near: Socket) => {
    proxy.tunnels.push(request.url ?? '')
    proxy.logins.push(request.headers['proxy-authorization'])
    if (proxy.refusal !== undefined) {
      near.end(`HTTP/1.1 ${proxy.refusal} No\r\nContent-Length: 0\r\n\r\n`)
      return
    }
    const target = new URL(`http://${request.url}`)
    const far = connect(
      { host: target.hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(target.port || 80) },
      () => {
        near.write('HTTP/1.1 200 Connection Established\r\n\r\n')
        near.pipe(far).pipe(near)
      },
    )
    track(far)
    far.on('error', () => near.destroy())
    near.on('close', () => far.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const proxy: ForwardProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    forwarded: [],
    tunnels: [],
    logins: [],
    refusal: undefined,
  }
  return proxy
}
