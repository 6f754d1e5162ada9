import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RenewedAdmin } from '../../../../src/kafka/repairs/renewed-admin.ts'

class FakeAdmin {
  isConnected = false
  async connect(): Promise<void> {
    this.isConnected = true
  }
  async disconnect(): Promise<void> {
    this.isConnected = false
  }
}

test('a client with a failed request gets no other one, and is closed when no caller waits for it', async () => {
  const made: FakeAdmin[] = []
  const admin = new RenewedAdmin(
    () => {
      made.push(new FakeAdmin())
      return made.at(-1)!
    },
    (error) => assert.fail(String(error)),
  )
  const connected = () => made.map(({ isConnected }) => isConnected)
  assert.equal(await admin.ask(async () => 1), 1)
  const slow = Promise.withResolvers<number>()
  const answer = admin.ask(() => slow.promise)
  await assert.rejects(
    admin.ask(() => Promise.reject(new Error('no such topic'))),
    /no such topic/,
  )
  assert.deepEqual(connected(), [true], 'another question waits for its answer')
  assert.equal(await admin.ask(async (client) => made.indexOf(client)), 1)
  slow.resolve(7)
  assert.equal(await answer, 7)
  assert.deepEqual(connected(), [false, true])
  admin.renew()
  assert.deepEqual(connected(), [false, false])
  await admin.ask(async () => {})
  await admin.disconnect()
  assert.deepEqual(connected(), [false, false, false])
})
