/** The last signs of life of a consumer, in ms of `performance.now`. */
export interface Signs {
  /** When the consumer began. */
  began: number
  /** When it last did anything; a consumer also "fetches" from a broker that is away. */
  lastSign: number
  /** When the group last took it for a member: a heartbeat or a join was answered. */
  lastAnswer: number
}

/** Longer than any request and rebalance that a working consumer waits for. */
const minSilenceMs = 120_000

/** How long the group waits for all members to join again, in ms. */
export function rebalanceTimeoutMs(sessionTimeoutMs: number): number {
  return Math.max(60_000, sessionTimeoutMs)
}

/**
 * True if a consumer does nothing any more: kafkajs has ways to stop silently
 * (tulios/kafkajs#1441, #1593).
 */
export function isStill(
  { began, lastSign }: Readonly<Signs>,
  sessionTimeoutMs: number,
  now: number,
): boolean {
  return now - Math.max(began, lastSign) >= Math.max(minSilenceMs, 2 * sessionTimeoutMs)
}

/**
 * True if the group has not answered a consumer for longer than a rebalance and a session take, at
 * least two sessions: it cannot be a member any more. To be asked only if Kafka answers others. A
 * consumer that waits for its broker keeps waiting: it may still be a member when the broker is
 * back.
 */
export function isForgotten(
  { began, lastAnswer }: Readonly<Signs>,
  sessionTimeoutMs: number,
  now: number,
): boolean {
  return (
    now - Math.max(began, lastAnswer) >= rebalanceTimeoutMs(sessionTimeoutMs) + sessionTimeoutMs
  )
}
