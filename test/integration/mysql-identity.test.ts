import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Duplex, duplexPair } from 'node:stream'
import { after, before, describe, type TestContext, test } from 'node:test'
import { createSecureContext, TLSSocket } from 'node:tls'
import { Mysql } from '../../src/mysql/client.ts'
import type { MysqlConnection } from '../../src/mysql/connection.ts'
import { CertificateMaker, type Identity } from '../helpers/certificates.ts'

/** Servers that are not who they should be: what they get to see of a login. */

const scramble = Buffer.from('abcdefghijklmnopqrst')
const plugin = 'caching_sha2_password'

function packet(sequence: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(4)
  head.writeUIntLE(payload.length, 0, 3)
  head[3] = sequence
  return Buffer.concat([head, payload])
}

/** Protocol::HandshakeV10 of the MySQL reference. */
function greeting(withTls: boolean): Buffer {
  const capabilities = 0x1 | 0x8 | 0x200 | 0x2000 | 0x8000 | 0x80000 | (withTls ? 0x800 : 0)
  const numbers = Buffer.alloc(18)
  numbers.writeUInt16LE(capabilities & 0xffff, 0)
  numbers[2] = 45
  numbers.writeUInt16LE(2, 3)
  numbers.writeUInt16LE(capabilities >>> 16, 5)
  numbers[7] = 21
  return packet(
    0,
    Buffer.concat([
      Buffer.from('\x0a8.0.40\0', 'latin1'),
      Buffer.from([1, 0, 0, 0]),
      scramble.subarray(0, 8),
      Buffer.from([0]),
      numbers,
      scramble.subarray(8),
      Buffer.from(`\0${plugin}\0`),
    ]),
  )
}

interface Rogue {
  readonly port: number
  /** What came of the login, packet by packet. */
  readonly packets: Buffer[]
  readonly connections: () => number
}

/** A server that asks for the password itself. With an identity it speaks TLS. */
async function rogue(t: TestContext, identity?: Identity): Promise<Rogue> {
  const packets: Buffer[] = []
  const sockets = new Set<Socket>()
  let connections = 0
  const converse = (socket: Duplex) => {
    let sequence = 0
    let seen = 0
    socket.on('error', () => {})
    socket.on('data', (data: Buffer) => {
      packets.push(data)
      sequence = data[3]! + 1
      seen++
      if (seen === 1) {
        const name = Buffer.from(`\xfe${plugin}\0`, 'latin1')
        socket.write(packet(sequence, Buffer.concat([name, scramble, Buffer.from([0])])))
      } else if (seen === 2) socket.write(packet(sequence, Buffer.from([1, 4])))
      else socket.destroy()
    })
  }
  const server = createServer((socket) => {
    connections++
    sockets.add(socket)
    socket.on('error', () => {})
    socket.write(greeting(identity !== undefined))
    if (identity === undefined) return converse(socket)
    socket.once('data', (data: Buffer) => {
      // The request for TLS is a packet of 32 bytes; the handshake may come with it.
      const [ours, theirs] = duplexPair()
      ours.write(data.subarray(36))
      socket.pipe(ours).pipe(socket)
      ours.on('error', () => {})
      const secureContext = createSecureContext({ key: identity.key, cert: identity.certificate })
      converse(new TLSSocket(theirs, { isServer: true, secureContext }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, packets, connections: () => connections }
}

function login(t: TestContext, connection: Partial<MysqlConnection>): Promise<unknown> {
  const client = new Mysql({
    host: '127.0.0.1',
    port: 0,
    user: 'archiver',
    password: 'hunter2',
    database: 'archive',
    timeoutMs: 5000,
    ...connection,
  })
  t.after(() => client.close())
  return client.detect()
}

describe('a server of MySQL that is another one', () => {
  let directory: string
  let authority: Identity
  let maker: CertificateMaker
  after(() => rm(directory, { recursive: true, force: true }))
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'archiver-test-'))
    maker = new CertificateMaker(directory)
    authority = await maker.make({ name: 'authority', isAuthority: true })
  })

  const refused: Readonly<
    Record<string, { altNames: readonly string[]; tlsName?: string; host?: string }>
  > = {
    'a certificate of the authority for another name, reached by address': {
      altNames: ['DNS:evil.example'],
    },
    'a certificate for another address': { altNames: ['IP:10.0.0.1', 'DNS:127.0.0.1'] },
    'a certificate for another name, reached by name': {
      altNames: ['DNS:evil.example'],
      host: 'localhost',
    },
    'a certificate for the address, where a name is expected': {
      altNames: ['IP:127.0.0.1'],
      tlsName: 'db.example',
    },
    'a certificate for the name, where an address is expected': {
      altNames: ['DNS:localhost'],
      host: 'localhost',
      tlsName: '127.0.0.1',
    },
  }
  for (const [name, { altNames, ...connection }] of Object.entries(refused)) {
    test(`with ${name}: it sees nothing of the login`, async (t) => {
      const server = await rogue(
        t,
        await maker.make({ name: 'rogue', altNames, issuer: authority }),
      )
      for (let i = 0; i < 2; i++) {
        await assert.rejects(
          login(t, { port: server.port, caFile: authority.certificateFile, ...connection }),
          {
            code: 'UNREACHABLE',
            message: /altnames|does not match|Cert does not contain/i,
          },
        )
      }
      assert.equal(server.connections(), 2)
      assert.deepEqual(server.packets, [])
    })
  }

  const accepted: Readonly<
    Record<string, { altNames: readonly string[]; tlsName?: string; host?: string }>
  > = {
    'its address': { altNames: ['IP:127.0.0.1'] },
    'its name': { altNames: ['DNS:localhost'], host: 'localhost' },
    'the name that is expected at an address': {
      altNames: ['DNS:db.example'],
      tlsName: 'db.example',
    },
    'the address that is expected at a name': {
      altNames: ['IP:127.0.0.1'],
      host: 'localhost',
      tlsName: '127.0.0.1',
    },
  }
  for (const [name, { altNames, ...connection }] of Object.entries(accepted)) {
    test(`with a certificate for ${name}: the login continues`, async (t) => {
      const server = await rogue(t, await maker.make({ name: 'db', altNames, issuer: authority }))
      await assert.rejects(
        login(t, { port: server.port, caFile: authority.certificateFile, ...connection }),
      )
      assert.ok(server.packets.length > 0)
    })
  }

  test('without TLS: it gets no key of its own used, and so no password', async (t) => {
    const server = await rogue(t)
    await assert.rejects(login(t, { port: server.port }), {
      code: 'UNREACHABLE',
      message:
        /the server wants the password itself.*--mysql-tls.*--mysql-allow-public-key-retrieval/,
    })
    // The login and a token that is good for this connection alone; not the question for a key.
    assert.equal(server.packets.length, 2)
    await assert.rejects(login(t, { port: server.port, allowsKeyRetrieval: true }))
    assert.deepEqual([...server.packets.at(-1)!.subarray(4)], [2])
  })
})
