/** Lets a fixed number in at a time, in the order in which they came. */
export class Lane {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(places: number) {
    this.#free = places
  }

  /** Settles with a function that gives the place back. Call it once. */
  async enter(): Promise<() => void> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return () => {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}

/** A place in one of several lanes, kept from one step to the next. */
export class LaneSeat {
  #lane: Lane | undefined
  #leave: (() => void) | undefined

  isIn(lane: Lane): boolean {
    return this.#lane === lane
  }

  /** Gives the place back, and waits for one in this lane. */
  async move(lane: Lane): Promise<void> {
    this.leave()
    this.#leave = await lane.enter()
    this.#lane = lane
  }

  leave(): void {
    this.#leave?.()
    this.#leave = undefined
    this.#lane = undefined
  }
}
