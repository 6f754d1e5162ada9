import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { isGroup, neededRefusals, Suspects } from '../../../../src/elasticsearch/sink/suspects.ts'

/** Numbers represent documents. */
type Group = readonly number[]

const holdMs = 600_000
const facts = () => ({ kind: 'a' })

function halves(group: Group): readonly [Group, Group] | undefined {
  if (group.length < 2) return undefined
  return [group.slice(0, group.length >> 1), group.slice(group.length >> 1)]
}

interface Outcome {
  /** How often each document was stored as it is. */
  readonly stored: Map<number, number>
  readonly rejected: Set<number>
  /** Documents that were said not to pass. */
  readonly named: Set<number>
  /** Documents whose reject does not pass. */
  readonly stuck: Set<number>
  /** Requests until every document was stored or named. */
  requests: number
}

interface World {
  readonly documents: number
  readonly bodies: number
  /** A request passes. `asReject`: it holds what is kept of a document. */
  readonly passes: (group: Group, asReject: boolean) => boolean
  /** Nothing passes in these milliseconds of the clock. */
  readonly isAway?: (now: number) => boolean
}

/**
 * Drives the search as the sink does, with a clock of its own, until nothing is left or `untilMs`.
 */
function drive(
  { documents, bodies, passes, isAway = () => false }: World,
  untilMs = holdMs * 20,
): Outcome {
  const suspects = new Suspects<Group, { readonly kind: string }>({
    split: halves,
    holdMs,
    random: () => 0.5,
  })
  const outcome: Outcome = {
    stored: new Map(),
    rejected: new Set(),
    named: new Set(),
    stuck: new Set(),
    requests: 0,
  }
  const all = Array.from({ length: documents }, (_, i) => i)
  const size = Math.max(1, Math.ceil(documents / bodies))
  let now = 0
  const send = (group: Group, asReject: boolean): 'passed' | 'refused' | 'away' => {
    now += 5
    if (outcome.named.size + outcome.stored.size < documents) outcome.requests++
    if (isAway(now)) return 'away'
    if (!passes(group, asReject)) return isAway(now + 1) ? 'away' : 'refused'
    for (const one of group) {
      if (asReject) outcome.rejected.add(one)
      else outcome.stored.set(one, (outcome.stored.get(one) ?? 0) + 1)
    }
    return 'passed'
  }
  for (let start = 0; start < documents; start += size) {
    const group = all.slice(start, start + size)
    let result = send(group, false)
    while (result === 'away') {
      now += 1000
      result = send(group, false)
    }
    if (result === 'refused') suspects.add(group, group.length)
  }
  while (!suspects.isIdle && now < untilMs) {
    const one = suspects.next(now)
    if (one === undefined) {
      now = Math.max(now + 1, suspects.nextAt!)
      continue
    }
    if (isGroup(one)) {
      const result = send(one.item, false)
      if (result === 'passed') suspects.groupPassed(one)
      else if (result === 'away') {
        suspects.groupAway(one)
        now += 1000
      } else {
        const found = suspects.groupRefused(one, now, facts)
        if (found !== undefined) outcome.named.add(found.item[0]!)
      }
      continue
    }
    const result = send(one.item, one.asReject)
    if (result === 'passed') suspects.passed(one)
    else if (result === 'away') suspects.away(one, now)
    else {
      suspects.refused(one, now, true)
      if (one.rejectRefused) outcome.stuck.add(one.item[0]!)
    }
  }
  return outcome
}

const world = fc.integer({ min: 1, max: 3000 }).chain((documents) =>
  fc.record({
    documents: fc.constant(documents),
    bodies: fc.integer({ min: 1, max: 8 }),
    offending: fc.uniqueArray(fc.nat(documents - 1), { maxLength: 20 }).map((all) => new Set(all)),
  }),
)

function assertAllWell(documents: number, offending: ReadonlySet<number>, outcome: Outcome): void {
  assert.deepEqual(outcome.rejected, offending)
  assert.deepEqual(outcome.named, offending)
  assert.equal(outcome.stored.size, documents - offending.size)
  assert.deepEqual(
    [...outcome.stored].filter(([, times]) => times !== 1),
    [],
  )
}

describe('documents that do not pass', () => {
  test('by what is in them: each is found and rejected, each other is stored once, in O(k log n) requests', () => {
    fc.assert(
      fc.property(world, ({ documents, bodies, offending }) => {
        const passes = (group: Group, asReject: boolean) =>
          asReject || !group.some((one) => offending.has(one))
        const outcome = drive({ documents, bodies, passes })
        assertAllWell(documents, offending, outcome)
        const most = bodies + 2 * offending.size * (Math.ceil(Math.log2(documents)) + 1)
        assert.ok(outcome.requests <= most, `${outcome.requests} requests, at most ${most}`)
      }),
      { numRuns: 300 },
    )
  })

  test('by size: a proxy that limits the bytes of a request', () => {
    fc.assert(
      fc.property(
        world,
        fc.integer({ min: 1, max: 500 }),
        ({ documents, bodies, offending }, limit) => {
          const bytes = (one: number) => (offending.has(one) ? limit + 1 : 1)
          const passes = (group: Group, asReject: boolean) =>
            asReject || group.reduce((sum, one) => sum + bytes(one), 0) <= limit
          assertAllWell(documents, offending, drive({ documents, bodies, passes }))
        },
      ),
      { numRuns: 200 },
    )
  })

  test('while Elasticsearch is away now and then: nothing else is rejected, nothing is stored twice', () => {
    const outages = fc.array(fc.tuple(fc.nat(holdMs * 2), fc.integer({ min: 10, max: holdMs })), {
      maxLength: 6,
    })
    fc.assert(
      fc.property(world, outages, ({ documents, bodies, offending }, away) => {
        const isAway = (now: number) =>
          away.some(([from, length]) => from <= now && now < from + length)
        const passes = (group: Group, asReject: boolean) =>
          asReject || !group.some((one) => offending.has(one))
        assertAllWell(documents, offending, drive({ documents, bodies, passes, isAway }))
      }),
      { numRuns: 100 },
    )
  })

  test('whose rejects do not pass either stay named, and are tried at the pace of the longest wait', () => {
    const offending = new Set([7, 99])
    const passes = (group: Group, asReject: boolean) =>
      !group.some((one) => offending.has(one)) || (asReject && group[0] === 7)
    const outcome = drive({ documents: 200, bodies: 1, passes }, holdMs * 4)
    assert.deepEqual(outcome.rejected, new Set([7]))
    assert.deepEqual(outcome.stuck, new Set([99]))
    assert.equal(outcome.stored.size, 198)
  })
})

test('an Elasticsearch that is away splits nothing and rejects nothing', () => {
  const suspects = new Suspects<Group, { readonly kind: string }>({ split: halves, holdMs })
  const group = [1, 2, 3, 4]
  suspects.add(group, 4)
  for (let i = 0; i < 100; i++) {
    const one = suspects.next(i)!
    assert.ok(isGroup(one))
    assert.equal(one.item, group)
    suspects.groupAway(one)
  }
  assert.deepEqual(suspects.alone, [])
})

test('a document waits for as long as it may, and for enough refusals; the next of its kind only for those', () => {
  const suspects = new Suspects<Group, { readonly kind: string }>({
    split: halves,
    holdMs,
    random: () => 0.5,
  })
  const alone = (document: number, now: number) => {
    suspects.add([document], 1)
    const one = suspects.next(now)!
    assert.ok(isGroup(one))
    return suspects.groupRefused(one, now, facts)!
  }
  const first = alone(1, 0)
  for (let i = 0; i < 10; i++) suspects.refused(first, holdMs - 1, true)
  assert.equal(first.asReject, false, 'too soon')
  suspects.refused(first, holdMs, false)
  assert.equal(first.asReject, false, 'no evidence')
  suspects.refused(first, holdMs, true)
  assert.equal(first.asReject, true)
  suspects.away(first, holdMs)
  assert.equal(first.asReject, false, 'what is kept of it is not blamed for an outage')
  const second = alone(2, holdMs)
  for (let i = 2; i < neededRefusals; i++) suspects.refused(second, holdMs + i, true)
  assert.equal(second.asReject, false)
  suspects.refused(second, holdMs + neededRefusals, true)
  assert.equal(second.asReject, true)
  const slow = alone(3, holdMs)
  for (let i = 0; i < 100; i++) suspects.refused(slow, holdMs * 9, false)
  assert.equal(slow.asReject, false)
})

test('a request all of whose documents pass in smaller ones was refused for its size, or by chance', () => {
  const suspects = new Suspects<Group, { readonly kind: string }>({ split: halves, holdMs })
  suspects.add([1, 2, 3], 77)
  const told: (number | undefined)[] = []
  for (let one = suspects.next(0); one !== undefined; one = suspects.next(0)) {
    assert.ok(isGroup(one))
    if (one.item.length > 1) suspects.groupRefused(one, 0, facts)
    else told.push(suspects.groupPassed(one))
  }
  assert.deepEqual(told, [undefined, undefined, 77])
})

test('documents that nobody waits for any more are forgotten', () => {
  const suspects = new Suspects<Group, { readonly kind: string }>({ split: halves, holdMs })
  suspects.add([1], 1)
  const one = suspects.next(0)!
  assert.ok(isGroup(one))
  suspects.groupRefused(one, 0, facts)
  suspects.add([2, 3], 1)
  suspects.filter((group) => group.includes(9))
  assert.equal(suspects.isIdle, true)
  assert.equal(suspects.nextAt, undefined)
})
