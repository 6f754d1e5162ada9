import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cooperative, eager, Leader } from '../../../../src/kafka/group/leader.ts'
import { Member } from '../../../../src/kafka/group/member.ts'
import {
  decodeAssignment,
  decodeSubscription,
  encodeSubscription,
} from '../../../../src/kafka/group/member-data.ts'
import type { JoinedMember } from '../../../../src/kafka/group/requests.ts'
import { noMembership } from '../../../../src/kafka/membership.ts'
import { createLogger } from '../../../../src/runtime/log.ts'
import { fakeGroup, type GroupRequest, metadataOf } from '../../../helpers/fake-group.ts'

function logger() {
  const lines: Record<string, unknown>[] = []
  const stream = { write: (line: string) => lines.push(JSON.parse(line)) }
  return { log: createLogger({ level: 'info', stream }), lines }
}

const layout = new Map([
  ['a', 2],
  ['b', 2],
])

function joined(
  memberId: string,
  owned: Readonly<Record<string, readonly number[]>> = {},
  { topics = ['a', 'b'], generation = 4, groupInstanceId = null as string | null } = {},
): JoinedMember {
  const data = { wish: { pattern: '^[ab]$' }, generation, owned: new Map(Object.entries(owned)) }
  return { memberId, groupInstanceId, memberMetadata: encodeSubscription(topics, data) }
}

const answer = (
  members: readonly JoinedMember[],
  groupProtocol = cooperative,
  generationId = 5,
) => ({
  members,
  groupProtocol,
  generationId,
  leaderId: members[0]!.memberId,
  memberId: members[0]!.memberId,
})

function given(leader: Leader, ...[round]: [ReturnType<typeof answer>]) {
  return Object.fromEntries(
    leader.assign(round, layout).map(({ memberId, memberAssignment }) => {
      const { partitions, again } = decodeAssignment(memberAssignment)
      const keys = [...partitions].flatMap(([topic, numbers]) => numbers.map((n) => topic + n))
      return [memberId, `${keys.join(' ')}${again === true ? ' again' : ''}`]
    }),
  )
}

test('a static member that restarts in a rebalance keeps what the leader remembers of it', () => {
  const { log } = logger()
  const leader = new Leader(log)
  const before = [joined('m'), joined('s-1', {}, { groupInstanceId: 's' })]
  assert.deepEqual(given(leader, answer(before)), { m: 'a0 b0', 's-1': 'a1 b1' })
  const restarted = joined('s-2', {}, { generation: -1, groupInstanceId: 's' })
  const now = [joined('m', { a: [0], b: [0] }, { generation: 5 }), restarted]
  assert.deepEqual(given(leader, answer(now, cooperative, 6)), { m: 'a0 b0', 's-2': 'a1 b1' })
  // Another leader knows nothing of it: what nobody claims is free.
  const third = [...now, joined('n', {}, { generation: -1 })]
  assert.deepEqual(given(new Leader(log), answer(third, cooperative, 6)), {
    m: 'a0 b0',
    's-2': 'b1',
    n: 'a1',
  })
})

test('a leader that finds topics that nobody lists joins again, to list them', () => {
  const { log } = logger()
  const unlisted = { topics: ['a'], generation: -1 }
  const members = [joined('m', {}, unlisted), joined('n', {}, unlisted)]
  assert.deepEqual(given(new Leader(log), answer(members)), { m: 'a0 b0 again', n: 'a1 b1' })
})

test('all hear that a rebalance follows, if one member has to give something up', () => {
  const { log } = logger()
  const follows = (members: readonly JoinedMember[]) =>
    new Leader(log)
      .assign(answer(members), layout)
      .map(({ memberAssignment }) => decodeAssignment(memberAssignment).follows === true)
  const one = joined('m', { a: [0, 1], b: [0, 1] })
  assert.deepEqual(follows([one]), [false])
  assert.deepEqual(follows([one, joined('n'), joined('o')]), [true, true, true])
})

test('a member that expects a rebalance sends heartbeats often, until it has heard of it', async (t) => {
  const { log } = logger()
  let beats = 0
  let joins = 0
  const group = fakeGroup(async (request) => {
    if (request.api === 'Metadata') return metadataOf(layout)
    if (request.api === 'Heartbeat') {
      if (++beats === 3) throw Object.assign(new Error(), { type: 'REBALANCE_IN_PROGRESS' })
      return undefined
    }
    if (request.api === 'SyncGroup') {
      const { memberAssignment } = request.groupAssignment[0]!
      return { memberId: 'm', memberAssignment }
    }
    joins++
    const self = joined('m', {}, { generation: -1 })
    // In the first round another one has what this one is to get.
    const other = joined('n', { a: [0, 1], b: [0, 1] })
    return answer(joins === 1 ? [self, other] : [self])
  })
  const rejoined = Promise.withResolvers<void>()
  const member = new Member(
    { choice: /^[ab]$/, groupInstanceId: undefined, log },
    {
      isCurrent: () => true,
      topics: () => ['a', 'b'],
      joining: () => {},
      beforeJoin: async () => {},
      joined: () => joins === 2 && rejoined.resolve(),
      revoked: async () => {},
      failed: (error) => assert.fail(String(error)),
    },
    { membership: noMembership },
  )
  t.after(() => member.close())
  await member.join(group)
  await rejoined.promise
  assert.equal(beats, 3)
})

test('while a member of before is in the group, all take turns, and nothing waits', () => {
  const { log } = logger()
  const old: JoinedMember = {
    memberId: 'old',
    memberMetadata: Buffer.from([0, 0, 0, 0, 0, 1, 0, 1, 97, 255, 255, 255, 255]),
  }
  assert.deepEqual(decodeSubscription(old.memberMetadata), {
    topics: ['a'],
    data: undefined,
    pattern: undefined,
  })
  const members = [joined('m', { a: [0, 1], b: [0, 1] }), old]
  assert.deepEqual(given(new Leader(log), answer(members, eager)), { m: 'a0 b0', old: 'a1 b1' })
})

test('the leader warns before the record of the group is too large for the broker', () => {
  const { log, lines } = logger()
  const topics = Array.from({ length: 1000 }, (_, i) => `events.some-team.topic-${i}`)
  const members = Array.from({ length: 50 }, (_, i) => joined(`m${i}`, {}, { topics }))
  new Leader(log).assign(answer(members), layout)
  assert.deepEqual(
    lines.map(({ event, members }) => ({ event, members })),
    [{ event: 'group_record_large', members: 50 }],
  )
  const small = members.map(({ memberId }) => joined(memberId, {}, { topics: [] }))
  new Leader(log).assign(answer(small), layout)
  assert.equal(lines.length, 1)
})

test('a broker that does not know static members gets an ordinary one, and the log says so', async () => {
  const { log, lines } = logger()
  const asked: GroupRequest[] = []
  const group = fakeGroup(async (request) => {
    asked.push(request)
    if (request.api === 'Metadata') return metadataOf(layout)
    if (request.api === 'SyncGroup') return request.groupAssignment[0]
    return answer([joined('m', {}, { generation: -1 })])
  }, 2)
  const member = new Member(
    { choice: /^[ab]$/, groupInstanceId: 'pod-1', log },
    {
      isCurrent: () => true,
      topics: () => ['a', 'b'],
      joining: () => {},
      beforeJoin: async () => {},
      joined: () => {},
      revoked: async () => {},
      failed: (error) => assert.fail(String(error)),
    },
    { membership: noMembership },
  )
  await member.join(group)
  assert.deepEqual(
    lines.map(({ event, group_instance_id }) => [event, group_instance_id]),
    [['static_membership_unsupported', 'pod-1']],
  )
  assert.ok(asked.every(({ groupInstanceId }) => (groupInstanceId ?? null) === null))
  await member.leave(group)
  assert.equal(asked.at(-1)?.api, 'LeaveGroup', 'an ordinary member leaves when it stops')
})
