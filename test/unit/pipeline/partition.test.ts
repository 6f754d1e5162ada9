import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Tracker } from '../../../src/pipeline/offsets/tracker.ts'
import { Partition } from '../../../src/pipeline/partition.ts'
import type { PartitionEvents, StateName } from '../../../src/pipeline/partition-events.ts'

const tp = { topic: 'events', partition: 0 }
const start = 100
const now = 5000
const failure = { why: 'no space left', isFenced: false }

type EventName = keyof PartitionEvents
type Action = ReturnType<PartitionEvents[EventName]>['action']
/** What the worker has to do, and the state afterwards. An ignored event changes nothing. */
type Cell = 'ignored' | `${Exclude<Action, 'ignored'>} → ${StateName}`

const newTracker = () => new Tracker(start, ['files'])

/** Always the longest delay. */
const newPartition = () => new Partition(tp, now, () => 1)

/** A partition that came to a state on its usual way. */
function inState(state: StateName): Partition {
  const partition = newPartition()
  const ways: Readonly<Record<StateName, () => void>> = {
    opening: () => {},
    paused: () => partition.opened(newTracker()),
    flowing: () => {
      ways.paused()
      partition.roomFreed()
    },
    locating: () => {
      ways.flowing()
      partition.doubted()
    },
    settling: () => {
      ways.locating()
      partition.gone('Kafka has no offset 100 any more')
    },
    draining: () => {
      ways.flowing()
      partition.drain()
    },
    stopped: () => {
      ways.flowing()
      partition.lost('gone', 200)
    },
    closed: () => partition.close(),
  }
  ways[state]()
  assert.equal(partition.state.name, state)
  return partition
}

const events: Readonly<Record<EventName, (partition: Partition) => { readonly action: Action }>> = {
  opened: (partition) => partition.opened(newTracker()),
  openFailed: (partition) => partition.openFailed('no space left', now),
  fetched: (partition) => partition.fetched(start, 500),
  full: (partition) => partition.full(),
  roomFreed: (partition) => partition.roomFreed(),
  unreadable: (partition) => partition.unreadable('no memory', start, false),
  doubted: (partition) => partition.doubted(),
  located: (partition) => partition.located(),
  gone: (partition) => partition.gone('Kafka has no offset 100 any more'),
  settled: (partition) => partition.settled('Kafka has no offset 100 any more', now),
  failed: (partition) => partition.failed(partition.tracker ?? newTracker(), failure, now),
  lost: (partition) => partition.lost('gone', 200),
  drain: (partition) => partition.drain(),
  close: (partition) => partition.close(),
}

function outcomeOf(
  partition: Partition,
  act: (partition: Partition) => { action: Action },
): string {
  const before = partition.state
  const { action } = act(partition)
  if (action !== 'ignored') return `${action} → ${partition.state.name}`
  assert.equal(partition.state, before, 'an event that is ignored changes nothing')
  return action
}

/** No state and no event may be left out: TypeScript says so. */
const table: Readonly<Record<StateName, Readonly<Record<EventName, Cell>>>> = {
  opening: {
    opened: 'seek → paused',
    openFailed: 'retry → opening',
    fetched: 'pause → opening',
    full: 'ignored',
    roomFreed: 'ignored',
    unreadable: 'ignored',
    doubted: 'ignored',
    located: 'ignored',
    gone: 'ignored',
    settled: 'ignored',
    failed: 'ignored',
    lost: 'stop → stopped',
    drain: 'close → closed',
    close: 'close → closed',
  },
  paused: {
    opened: 'ignored',
    openFailed: 'ignored',
    fetched: 'take → paused',
    full: 'ignored',
    roomFreed: 'resume → flowing',
    unreadable: 'reread → locating',
    doubted: 'locate → locating',
    located: 'ignored',
    gone: 'ignored',
    settled: 'ignored',
    failed: 'reopen → opening',
    lost: 'stop → stopped',
    drain: 'flush → draining',
    close: 'close → closed',
  },
  flowing: {
    opened: 'ignored',
    openFailed: 'ignored',
    fetched: 'take → flowing',
    full: 'pause → paused',
    roomFreed: 'ignored',
    unreadable: 'reread → locating',
    doubted: 'locate → locating',
    located: 'ignored',
    gone: 'ignored',
    settled: 'ignored',
    failed: 'reopen → opening',
    lost: 'stop → stopped',
    drain: 'flush → draining',
    close: 'close → closed',
  },
  locating: {
    opened: 'ignored',
    openFailed: 'ignored',
    fetched: 'ignored',
    full: 'ignored',
    roomFreed: 'ignored',
    unreadable: 'ignored',
    doubted: 'ignored',
    located: 'seek → paused',
    gone: 'settle → settling',
    settled: 'ignored',
    failed: 'reopen → opening',
    lost: 'stop → stopped',
    drain: 'flush → draining',
    close: 'close → closed',
  },
  settling: {
    opened: 'ignored',
    openFailed: 'ignored',
    fetched: 'ignored',
    full: 'ignored',
    roomFreed: 'ignored',
    unreadable: 'ignored',
    doubted: 'ignored',
    located: 'ignored',
    gone: 'ignored',
    settled: 'reopen → opening',
    failed: 'reopen → opening',
    lost: 'ignored',
    drain: 'flush → draining',
    close: 'close → closed',
  },
  draining: {
    opened: 'ignored',
    openFailed: 'ignored',
    fetched: 'pause → draining',
    full: 'ignored',
    roomFreed: 'ignored',
    unreadable: 'ignored',
    doubted: 'ignored',
    located: 'ignored',
    gone: 'ignored',
    settled: 'ignored',
    failed: 'close → closed',
    lost: 'ignored',
    drain: 'flush → draining',
    close: 'close → closed',
  },
  stopped: {
    opened: 'ignored',
    openFailed: 'ignored',
    fetched: 'pause → stopped',
    full: 'ignored',
    roomFreed: 'ignored',
    unreadable: 'ignored',
    doubted: 'ignored',
    located: 'ignored',
    gone: 'ignored',
    settled: 'ignored',
    failed: 'reopen → opening',
    lost: 'ignored',
    drain: 'flush → stopped',
    close: 'close → closed',
  },
  closed: {
    opened: 'ignored',
    openFailed: 'ignored',
    fetched: 'pause → closed',
    full: 'ignored',
    roomFreed: 'ignored',
    unreadable: 'ignored',
    doubted: 'ignored',
    located: 'ignored',
    gone: 'ignored',
    settled: 'ignored',
    failed: 'ignored',
    lost: 'ignored',
    drain: 'ignored',
    close: 'ignored',
  },
}

const stateNames = Object.keys(table) as StateName[]
const eventNames = Object.keys(events) as EventName[]

describe('a partition', () => {
  for (const state of stateNames) {
    it(`has an answer to every event while it is ${state}`, () => {
      const found = Object.fromEntries(
        eventNames.map((event) => [event, outcomeOf(inState(state), events[event])]),
      )
      assert.deepEqual(found, table[state])
    })
  }

  it('is located when Kafka sends another offset than the next one', () => {
    for (const state of ['flowing', 'paused'] as const) {
      const outcome = outcomeOf(inState(state), (one) => one.fetched(start + 1, 500))
      assert.equal(outcome, 'locate → locating')
    }
  })

  it('stops when reading a batch again is of no use', () => {
    for (const state of stateNames) {
      const outcome = outcomeOf(inState(state), (one) => one.unreadable('bad', start, true))
      assert.equal(outcome, ['flowing', 'paused'].includes(state) ? 'stop → stopped' : 'ignored')
    }
  })

  it('that stopped before it was open has nothing to flush, and nothing that can fail', () => {
    const partition = inState('opening')
    partition.lost('gone', 200)
    assert.equal(
      outcomeOf(partition, (one) => one.drain()),
      'ignored',
    )
    assert.equal(
      outcomeOf(partition, (one) => one.failed(newTracker(), failure, now)),
      'ignored',
    )
    assert.deepEqual([partition.tracker, partition.resumesAt], [undefined, 200])
  })

  it('does not hear of what failed under an earlier tracker, or under one that is closed', () => {
    for (const state of stateNames) {
      assert.equal(
        outcomeOf(inState(state), (one) => one.failed(newTracker(), failure, now)),
        'ignored',
      )
      const partition = inState(state)
      const { tracker } = partition
      tracker?.close()
      assert.equal(
        outcomeOf(partition, (one) => one.failed(tracker ?? newTracker(), failure, now)),
        'ignored',
      )
    }
  })

  it('opens again at once when it was fenced, else later and later until there is progress', () => {
    const partition = newPartition()
    const fail = (isFenced: boolean) => {
      const tracker = newTracker()
      partition.opened(tracker)
      const result = partition.failed(tracker, { why: 'no space left', isFenced }, now)
      assert.equal(result.action, 'reopen')
      return [partition.delayMs(now), partition.delayMs(now + 400), partition.waiting]
    }
    assert.deepEqual(fail(true), [0, 0, undefined])
    assert.deepEqual(fail(false), [500, 100, 'no space left'])
    assert.deepEqual(fail(false), [1000, 600, 'no space left'])
    partition.progressed()
    assert.deepEqual(fail(false), [500, 100, 'no space left'])
  })

  it('ends what was begun for it when it is opened again, drained or given up, and only then', () => {
    const ending = { failed: 'opening', drain: 'draining', close: 'closed' } as const
    for (const [event, state] of Object.entries(ending)) {
      const partition = inState('flowing')
      const { life } = partition
      events[event as keyof typeof ending](partition)
      assert.deepEqual([partition.state.name, life.aborted], [state, true])
      assert.equal(partition.life.aborted, state === 'closed')
    }
    for (const event of ['full', 'doubted', 'lost'] as const) {
      const partition = inState('flowing')
      events[event](partition)
      assert.equal(partition.life.aborted, false)
    }
  })

  it('says why it waits, and where it will read on', () => {
    const waits = (state: StateName) => inState(state).waiting
    assert.deepEqual(stateNames.map(waits), [
      undefined,
      'paused until the sinks have room',
      undefined,
      'paused until it is known where to read on',
      'Kafka has no offset 100 any more',
      undefined,
      'gone',
      undefined,
    ])
    const partition = inState('flowing')
    const { tracker } = partition
    assert.ok(tracker !== undefined)
    tracker.delivered({ from: start, next: 150 })
    tracker.acknowledge('files', { from: start, next: 120 })
    partition.failed(tracker, failure, now)
    assert.equal(partition.resumesAt, 120)
  })
})
