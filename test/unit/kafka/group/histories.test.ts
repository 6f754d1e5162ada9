import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { cooperative } from '../../../../src/kafka/group/leader.ts'
import { decodeAssignment } from '../../../../src/kafka/group/member-data.ts'
import { membershipOf } from '../../../../src/kafka/membership.ts'
import { partitionKey } from '../../../../src/record/record.ts'
import { OldWorker, SimulatedGroup, SimulatedWorker } from '../../../helpers/group-simulation.ts'

/**
 * Random histories of a group, with the member of the group as it runs and a coordinator that does
 * what brokers do. What is checked at every moment: nobody begins with a partition that a live
 * member of the group still works on.
 */

const weights = {
  turn: 8,
  beat: 8,
  join: 3,
  joinStatic: 3,
  restart: 3,
  stop: 2,
  kill: 2,
  expire: 2,
  freeze: 2,
  thaw: 3,
  endRebalance: 1,
  topic: 1,
  grow: 1,
  look: 2,
  old: 1,
  oldStops: 2,
} as const
type What = keyof typeof weights

const steps = fc.array(
  fc.record({
    what: fc.oneof(
      ...(Object.entries(weights) as [What, number][]).map(([what, weight]) => ({
        weight,
        arbitrary: fc.constant(what),
      })),
    ),
    n: fc.nat(7),
  }),
  { minLength: 5, maxLength: 40, size: 'max' },
)

class History {
  readonly group = new SimulatedGroup(
    new Map([
      ['a', 7],
      ['b', 2],
    ]),
  )
  readonly workers: SimulatedWorker[] = []
  readonly old: OldWorker[] = []
  /** Workers whose claims the group may not know, though they are members: see `endRebalance`. */
  readonly #unheard = new Set<SimulatedWorker>()
  readonly #withOld: boolean
  #names = 0
  #overlap: string | undefined

  constructor(withOld: boolean) {
    this.#withOld = withOld
  }

  get live(): SimulatedWorker[] {
    return this.workers.filter(({ isAlive }) => isAlive)
  }

  #add(instanceId?: string): void {
    const worker = new SimulatedWorker(
      this.group,
      `w${this.#names++}`,
      {
        began: (beginner, tp) => {
          const key = partitionKey(tp)
          for (const other of this.live) {
            if (other === beginner || !other.held.has(key)) continue
            // Who was put out of the group while it was frozen begins with what it had before.
            const isKnown =
              this.group.isMember(beginner.memberId) &&
              this.group.isMember(other.memberId) &&
              !this.#unheard.has(other)
            // Members of before give everything up at once: the commit log keeps them apart.
            if (isKnown && this.group.protocol === cooperative && this.old.length === 0)
              this.#overlap ??= `${beginner.name} begins with ${key}, and ${other.name} has it`
          }
        },
      },
      { instanceId },
    )
    this.workers.push(worker)
    void worker.start()
  }

  async step(what: What, n: number): Promise<void> {
    const pick = <T>(from: readonly T[]): T | undefined => from[n % Math.max(1, from.length)]
    const one = pick(this.live)
    switch (what) {
      case 'turn':
        for (let turn = 0; turn < n * 3; turn++) await Promise.resolve()
        if (n > 4) await setImmediate()
        break
      case 'beat':
        for (const worker of this.live) if ((n & 1) === 0 || worker === one) void worker.beat()
        for (const worker of this.old) void worker.beat()
        break
      case 'join':
        if (this.live.length < 6) this.#add()
        break
      case 'joinStatic': {
        const id = `s${n % 3}`
        if (!this.live.some(({ instanceId }) => instanceId === id)) this.#add(id)
        break
      }
      case 'restart':
        if (one?.instanceId === undefined) break
        if ((n & 1) === 0) one.kill()
        else await one.stop()
        this.#add(one.instanceId)
        break
      case 'stop':
        await Promise.race([one?.stop(), setImmediate()])
        break
      case 'kill':
        one?.kill()
        break
      case 'expire':
        for (const worker of this.workers)
          if ((!worker.isAlive || worker.isFrozen) && worker.inside.memberId !== null)
            this.group.expire(worker.inside.memberId)
        break
      case 'freeze':
        one?.freeze()
        break
      case 'thaw':
        for (const worker of this.live) worker.thaw()
        break
      case 'endRebalance':
        // Who did not join in time is out, unless it is static: then its claims are old ones.
        if (this.group.isStable) break
        for (const worker of this.live)
          if (worker.instanceId !== undefined) this.#unheard.add(worker)
        this.group.endRebalance()
        break
      case 'topic':
        this.group.layout.set(`t${n}`, 1 + (n % 3))
        break
      case 'grow':
        this.group.layout.set('a', Math.max(7, this.group.layout.get('a')!, 7 + n))
        break
      case 'look':
        for (const worker of this.live) void worker.look()
        break
      case 'old': {
        if (!this.#withOld || this.old.length >= 2) break
        const decode = (bytes: Buffer) =>
          membershipOf('', 0, decodeAssignment(bytes).partitions).partitions
        const worker = new OldWorker(this.group, `old${this.#names++}`, (bytes) => [
          ...decode(bytes),
        ])
        this.old.push(worker)
        void worker.start()
        break
      }
      case 'oldStops':
        await Promise.race([this.old.shift()?.stop(), setImmediate()])
        break
    }
  }

  /** No more happens, and the dead are found out. @returns how many rebalances that takes */
  async settle(): Promise<number> {
    for (const worker of this.live) worker.thaw()
    for (const worker of this.old.splice(0)) await Promise.race([worker.stop(), setImmediate()])
    for (let round = 0; round < 6; round++) await this.#round()
    const present = new Set(this.live.map(({ inside }) => inside.memberId))
    for (const id of this.group.memberIds) if (!present.has(id)) this.group.expire(id)
    for (const worker of this.live) void worker.look()
    const { generation } = this.group
    for (let round = 0; round < 12; round++) await this.#round()
    return this.group.generation - generation
  }

  async #round(): Promise<void> {
    for (let turn = 0; turn < 8; turn++) await setImmediate()
    for (const worker of this.live) void worker.beat()
    for (let turn = 0; turn < 8; turn++) await setImmediate()
    for (const worker of this.live) void worker.look()
  }

  /** Every partition is somebody's, and everybody has as many. */
  check(rebalances: number): void {
    const { live, group } = this
    assert.equal(this.#overlap, undefined)
    for (const { name, failure, instanceId } of this.workers)
      if (failure !== undefined)
        assert.ok(
          instanceId !== undefined && /FENCED/.test(String((failure as Error).message)),
          `${name}: ${String((failure as Error).stack)}`,
        )
    if (live.length === 0) return
    assert.ok(group.isStable, 'the group is at rest')
    assert.equal(group.protocol, cooperative)
    const held = live.flatMap(({ held }) => [...held]).sort()
    const all = [...group.layout].flatMap(([topic, count]) =>
      Array.from({ length: count }, (_, partition) => partitionKey({ topic, partition })),
    )
    assert.deepEqual(held, all.sort(), 'every partition is held once')
    const counts = live.map((worker) => worker.held.size)
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, `balanced: ${counts}`)
    assert.ok(rebalances <= 4, `${rebalances} rebalances`)
  }
}

async function play(
  history: History,
  happened: readonly { readonly what: What; readonly n: number }[],
): Promise<void> {
  await history.step('join', 0)
  for (const { what, n } of happened) await history.step(what, n)
  history.check(await history.settle())
}

for (const [name, withOld, numRuns] of [
  ['of this version', false, 800],
  ['with workers of the version before', true, 400],
] as const) {
  test(`any history of workers ${name}: nobody takes what another has, and all comes to rest`, async () => {
    const property = fc.asyncProperty(steps, (happened) => play(new History(withOld), happened))
    await fc.assert(property, { numRuns: Number(process.env.HISTORIES ?? numRuns) })
  })
}
