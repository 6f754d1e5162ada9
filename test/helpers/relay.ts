import { connect, createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

/** A listener that passes every connection on to a server, as bytes. */
export interface Relay {
  readonly port: number
  /** Connections so far. */
  connections: number
}

/** Starts one for the time of a test. `target` is `host:port`. */
export async function relay(t: TestContext, host: string, target: string): Promise<Relay> {
  const colon = target.lastIndexOf(':')
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    state.connections++
    const far = connect({ host: target.slice(0, colon), port: Number(target.slice(colon + 1)) })
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {
        near.destroy()
        far.destroy()
      })
      socket.on('close', () => sockets.delete(socket))
    }
    near.pipe(far).pipe(near)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, host, resolve)
  })
  t.after(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const state: Relay = { port: (server.address() as { port: number }).port, connections: 0 }
  return state
}
