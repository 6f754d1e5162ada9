import { AsyncLocalStorage } from 'node:async_hooks'
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'

interface Step {
  /** The call that waits, by the name of its system call: `link`. */
  readonly call: string
  readonly paths: readonly string[]
  readonly pass: () => void
  readonly done: Promise<void>
}

/** Someone who acts upon files one call at a time, when it is let. */
export class Actor {
  readonly name: string
  readonly waiting: Step[] = []
  isOver = false
  /** Steps of others that it does not see happen. */
  frozenFor = 0
  failure: unknown

  constructor(name: string) {
    this.name = name
  }

  gate(
    call: string,
    paths: readonly string[],
  ): { readonly passed: Promise<void>; readonly done: () => void } {
    const passed = Promise.withResolvers<void>()
    const done = Promise.withResolvers<void>()
    this.waiting.push({ call, paths, pass: passed.resolve, done: done.promise })
    return { passed: passed.promise, done: done.resolve }
  }
}

const acting = new AsyncLocalStorage<Actor>()

/**
 * Lets several actors of one process act as processes of their own would: every call that goes
 * through `pass` waits until `run` chooses it. `run` never again chooses an actor that dies:
 * nothing of it runs any more, not even its cleanup.
 */
export class Gates {
  readonly #actors = new Set<Actor>()

  /** Makes a call of the actor that is running when it is its turn; at once if none is. */
  async pass<T>(call: string, paths: readonly string[], act: () => T): Promise<Awaited<T>> {
    const actor = acting.getStore()
    if (actor === undefined) return await act()
    const { passed, done } = actor.gate(call, paths)
    await passed
    try {
      return await act()
    } finally {
      done()
    }
  }

  /** Begins what an actor does. */
  start(name: string, act: () => Promise<void>): Actor {
    const actor = new Actor(name)
    this.#actors.add(actor)
    acting
      .run(actor, act)
      .catch((error: unknown) => {
        actor.failure = error
      })
      .finally(() => {
        actor.isOver = true
        this.#actors.delete(actor)
      })
    return actor
  }

  /** It never acts again. */
  kill(actor: Actor): void {
    this.#actors.delete(actor)
  }

  /**
   * Lets an actor act alone until `isThere` says of its next step that it is the one to stop
   * before; false if it never came to it.
   */
  async runTo(
    actor: Actor,
    isThere: (call: string, paths: readonly string[]) => boolean,
  ): Promise<boolean> {
    let hasCome = false
    if (!actor.isOver) this.#actors.add(actor)
    await this.run((ready) => {
      if (!ready.includes(actor)) return undefined
      const [next] = actor.waiting
      hasCome = isThere(next!.call, next!.paths)
      if (hasCome) this.#actors.delete(actor)
      return hasCome ? undefined : actor
    })
    return hasCome
  }

  /** Lets an actor that was stopped go on to its end. */
  async thaw(actor: Actor): Promise<void> {
    if (!actor.isOver) this.#actors.add(actor)
    await this.run(([one]) => one)
  }

  /**
   * Lets one step after another happen until all actors are over; `choose` picks among those that
   * are ready.
   */
  async run(
    choose: (ready: readonly Actor[]) => Actor | undefined,
    mostSteps = 100_000,
  ): Promise<void> {
    let idle = 0
    for (let steps = 0; this.#actors.size > 0; ) {
      const ready = [...this.#actors].filter(({ waiting }) => waiting.length > 0)
      if (ready.length === 0) {
        if (idle++ > 20_000)
          throw new Error(
            `nothing happens: ${[...this.#actors].map(({ name }) => name).join(', ')}`,
          )
        await (idle < 50 ? turn() : wait(1))
        continue
      }
      idle = 0
      const awake = ready.filter(({ frozenFor }) => frozenFor <= 0)
      for (const actor of ready) actor.frozenFor--
      const actor = choose(awake.length > 0 ? awake : ready)
      if (actor === undefined) continue
      actor.frozenFor = 0
      const step = actor.waiting.shift()
      if (step === undefined) continue
      if (steps++ > mostSteps) throw new Error('this does not end')
      step.pass()
      await step.done
      await turn()
    }
  }
}
