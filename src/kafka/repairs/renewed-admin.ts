/** As kafkajs's admin client. */
interface Connectable {
  connect(): Promise<void>
  disconnect(): Promise<void>
}

/** A client, and how many questions to it have no answer yet. */
interface Client<Admin> {
  readonly admin: Admin
  readonly connected: Promise<void>
  asking: number
}

/**
 * An admin client that is replaced when it fails. With each question kafkajs asks about every topic
 * that the client has ever asked about, and all of that fails once one of these topics is gone. So
 * after a failure the next question goes to a new client.
 */
export class RenewedAdmin<Admin extends Connectable> {
  readonly #create: () => Admin
  readonly #disconnectFailed: (error: unknown) => void
  #current: Client<Admin> | undefined

  constructor(create: () => Admin, disconnectFailed: (error: unknown) => void) {
    this.#create = create
    this.#disconnectFailed = disconnectFailed
  }

  /** Throws what the question threw; the next question goes to another client. */
  async ask<T>(question: (admin: Admin) => Promise<T>): Promise<T> {
    this.#current ??= this.#connect()
    const client = this.#current
    client.asking++
    try {
      await client.connected
      return await question(client.admin)
    } catch (error) {
      if (client === this.#current) this.renew()
      throw error
    } finally {
      client.asking--
      this.#disconnectUnused(client)
    }
  }

  /** The next question goes to a new client. */
  renew(): void {
    const client = this.#current
    this.#current = undefined
    if (client !== undefined) this.#disconnectUnused(client)
  }

  /** Others may still wait for an answer of a client that is no longer asked. */
  #disconnectUnused(client: Client<Admin>): void {
    if (client === this.#current || client.asking > 0) return
    client.admin.disconnect().catch(this.#disconnectFailed)
  }

  async disconnect(): Promise<void> {
    const client = this.#current
    this.#current = undefined
    await client?.admin.disconnect()
  }

  #connect(): Client<Admin> {
    const admin = this.#create()
    return { admin, connected: admin.connect(), asking: 0 }
  }
}
