/** Partitions by topic. */
export type PartitionsByTopic = ReadonlyMap<string, readonly number[]>

/** What a member works on, as it was given in a generation of the group. */
export interface Claim {
  readonly generation: number
  readonly partitions: PartitionsByTopic
}

export interface GroupMember {
  readonly id: string
  /** Members with the same wish may share one function; it is then asked once for a topic. */
  readonly wants: (topic: string) => boolean
  readonly claims: readonly Claim[]
}

/** What each member gets in one rebalance. */
export interface Plan {
  /** By the id of the member. Every member has an entry. */
  readonly given: ReadonlyMap<string, PartitionsByTopic>
  /**
   * Members that must give something up for another member, and join again once they have. Only
   * then is it given away.
   */
  readonly givingUp: ReadonlySet<string>
  /** Partitions that no member has, because no member wants them. */
  readonly unwanted: number
}

/** The claim that counts for a partition, and who else claims it. */
interface Owner {
  member: number
  generation: number
  /** Another member claims it in the same generation, which cannot be right. */
  isDisputed: boolean
}

/**
 * Cooperative and sticky (KIP-429): partitions move only when the balance needs it, and what one
 * member works on is given to nobody else before that member has given it up. Then it joins again,
 * and the second rebalance gives it to the next one.
 *
 * Members of the same wish get the same number of partitions, or one more. Among the plans that
 * move the fewest partitions, it chooses one that spreads each topic.
 *
 * **Invariant**: a partition that a member claims is given to that member or to nobody. If several
 * claim it, the claim of the highest generation counts: its members have seen an assignment that
 * the others missed.
 *
 * Pure. The order of members does not matter. Its time grows with partitions times members.
 *
 * @param layout the number of partitions of each topic
 */
export function assignPartitions(
  members: readonly GroupMember[],
  layout: ReadonlyMap<string, number>,
): Plan {
  const sorted = [...members].sort((a, b) => compare(a.id, b.id))
  const owners = ownersOf(sorted)
  const target = new Target(sorted)
  const free: { readonly topic: Topic; readonly partition: number }[] = []
  let unwanted = 0
  for (const [name, count] of [...layout].sort(([a], [b]) => compare(a, b))) {
    const topic = target.add(name)
    if (topic.candidates.length === 0) unwanted += count
    else {
      for (let partition = 0; partition < count; partition++) {
        const owner = owners.get(name)?.get(partition)
        if (owner === undefined || owner.isDisputed || !topic.isWantedBy[owner.member])
          free.push({ topic, partition })
        else target.give(owner.member, topic, partition)
      }
    }
  }
  // A topic that few want comes first, while its members have room.
  free.sort((a, b) => a.topic.candidates.length - b.topic.candidates.length)
  for (const { topic, partition } of free) target.give(target.leastLoaded(topic), topic, partition)
  target.balance((topic, partition) => owners.get(topic)?.get(partition)?.member)
  return { ...planOf(sorted, target, owners), unwanted }
}

type Owners = ReadonlyMap<string, ReadonlyMap<number, Owner>>

function ownersOf(members: readonly GroupMember[]): Owners {
  const owners = new Map<string, Map<number, Owner>>()
  members.forEach(({ claims }, member) => {
    for (const { generation, partitions } of claims) {
      for (const [topic, numbers] of partitions) {
        const ofTopic = owners.get(topic) ?? new Map<number, Owner>()
        owners.set(topic, ofTopic)
        for (const partition of numbers) claim(ofTopic, partition, member, generation)
      }
    }
  })
  return owners
}

function claim(
  owners: Map<number, Owner>,
  partition: number,
  member: number,
  generation: number,
): void {
  const before = owners.get(partition)
  if (before === undefined) {
    owners.set(partition, { member, generation, isDisputed: false })
    return
  }
  if (before.member === member) {
    if (generation > before.generation) Object.assign(before, { generation, isDisputed: false })
    return
  }
  if (generation === before.generation) before.isDisputed = true
  else if (generation > before.generation)
    Object.assign(before, { member, generation, isDisputed: false })
}

/** What of the target can be given now, and who has to give something up first. */
function planOf(
  members: readonly GroupMember[],
  target: Target,
  owners: Owners,
): Omit<Plan, 'unwanted'> {
  const withheld = new Map<string, Set<number>>()
  const given = members.map((_, member) => {
    const ofMember = new Map<string, number[]>()
    for (const [topic, partitions] of target.of(member)) {
      const granted: number[] = []
      for (const partition of partitions) {
        const owner = owners.get(topic)?.get(partition)
        const isHeld = owner !== undefined && (owner.isDisputed || owner.member !== member)
        if (!isHeld) granted.push(partition)
        else withheld.set(topic, (withheld.get(topic) ?? new Set()).add(partition))
      }
      if (granted.length > 0)
        ofMember.set(
          topic,
          granted.sort((a, b) => a - b),
        )
    }
    return ofMember
  })
  const givingUp = new Set(
    members.flatMap(({ id, claims }) =>
      claims.some(({ partitions }) =>
        [...partitions].some(([topic, numbers]) => {
          const ofTopic = withheld.get(topic)
          return ofTopic !== undefined && numbers.some((partition) => ofTopic.has(partition))
        }),
      )
        ? [id]
        : [],
    ),
  )
  return { given: new Map(members.map(({ id }, i) => [id, given[i]!])), givingUp }
}

interface Topic {
  readonly name: string
  /** The members that want it, by their place. */
  readonly candidates: readonly number[]
  readonly isWantedBy: readonly boolean[]
  /** How many of its partitions each member has. */
  readonly counts: number[]
}

/** Who is to have what, once all that moves has been given up. */
class Target {
  readonly #members: readonly GroupMember[]
  readonly #topics = new Map<string, Topic>()
  readonly #loads: number[]
  readonly #held: Map<string, number[]>[]

  constructor(members: readonly GroupMember[]) {
    this.#members = members
    this.#loads = members.map(() => 0)
    this.#held = members.map(() => new Map())
  }

  add(name: string): Topic {
    const answers = new Map<GroupMember['wants'], boolean>()
    const isWantedBy = this.#members.map(({ wants }) => {
      const answer = answers.get(wants) ?? wants(name)
      answers.set(wants, answer)
      return answer
    })
    const candidates = isWantedBy.flatMap((isWanted, member) => (isWanted ? [member] : []))
    const topic = { name, candidates, isWantedBy, counts: this.#members.map(() => 0) }
    this.#topics.set(name, topic)
    return topic
  }

  of(member: number): ReadonlyMap<string, readonly number[]> {
    return this.#held[member]!
  }

  give(member: number, topic: Topic, partition: number): void {
    this.#loads[member]!++
    topic.counts[member]!++
    const held = this.#held[member]!
    const partitions = held.get(topic.name)
    if (partitions === undefined) held.set(topic.name, [partition])
    else partitions.push(partition)
  }

  /** The member with the fewest partitions that wants the topic; if equal, the fewest of it. */
  leastLoaded({ candidates, counts }: Topic): number {
    let best = candidates[0]!
    for (const member of candidates) {
      const more = this.#loads[member]! - this.#loads[best]! || counts[member]! - counts[best]!
      if (more < 0) best = member
    }
    return best
  }

  /** Moves single partitions from who has many to who has few, as long as that helps. */
  balance(ownerOf: (topic: string, partition: number) => number | undefined): void {
    while (this.#moveOne(ownerOf));
  }

  #moveOne(ownerOf: (topic: string, partition: number) => number | undefined): boolean {
    const byLoad = this.#members
      .map((_, member) => member)
      .sort((a, b) => this.#loads[b]! - this.#loads[a]! || a - b)
    const byRoom = byLoad.toReversed()
    for (const from of byLoad) {
      for (const to of byRoom) {
        if (this.#loads[from]! - this.#loads[to]! < 2) break
        const topic = this.#bestToMove(from, to)
        if (topic === undefined) continue
        this.#move(topic, from, to, ownerOf)
        return true
      }
    }
    return false
  }

  /** The topic in which the one has the most beyond the other. */
  #bestToMove(from: number, to: number): Topic | undefined {
    let best: Topic | undefined
    let most = Number.NEGATIVE_INFINITY
    for (const name of this.#held[from]!.keys()) {
      const topic = this.#topics.get(name)!
      const more = topic.counts[from]! - topic.counts[to]!
      if (!topic.isWantedBy[to] || more <= most) continue
      best = topic
      most = more
    }
    return best
  }

  #move(
    topic: Topic,
    from: number,
    to: number,
    ownerOf: (topic: string, partition: number) => number | undefined,
  ): void {
    const partitions = this.#held[from]!.get(topic.name)!
    // What it does not work on yet costs nothing to move.
    const free = partitions.findLastIndex((partition) => ownerOf(topic.name, partition) !== from)
    const [partition] = partitions.splice(free, 1)
    if (partitions.length === 0) this.#held[from]!.delete(topic.name)
    this.#loads[from]!--
    topic.counts[from]!--
    this.give(to, topic, partition!)
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
