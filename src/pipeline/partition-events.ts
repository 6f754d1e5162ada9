import type { Tracker } from './offsets/tracker.ts'

/**
 * An open partition has a tracker:
 *
 * - `flowing`: records are fetched and delivered.
 * - `paused`: the sinks are full; nothing is fetched until they have room.
 * - `locating`: nothing is taken until it is known where reading goes on.
 * - `settling`: Kafka has lost the position; the sinks store what was read before it.
 * - `draining`: the worker gives the partition up; the sinks store what was read.
 */
export type OpenStateName = 'flowing' | 'paused' | 'locating' | 'settling' | 'draining'

export type PartitionState =
  /** Nothing is fetched until it is known where to begin. The next try is due at `dueAt`. */
  | { readonly name: 'opening'; readonly dueAt: number }
  | { readonly name: OpenStateName; readonly tracker: Tracker }
  /** A person must decide. It has a tracker if it was open: sinks may still store what was read. */
  | { readonly name: 'stopped'; readonly tracker: Tracker | undefined }
  /** This worker does not own it any more. */
  | { readonly name: 'closed' }

export type StateName = PartitionState['name']

/** The event means nothing in this state. */
export interface Ignored {
  readonly action: 'ignored'
}

export interface Pause {
  readonly action: 'pause'
}

/** Nothing runs for it any more. What the sinks have taken and not stored is dropped. */
export interface Close {
  readonly action: 'close'
}

/** Kafka's client gets this position. The partition resumes as soon as the sinks have room. */
export interface Seek {
  readonly action: 'seek'
  readonly tracker: Tracker
}

/** What was read and is not stored is read again, after a delay. */
export interface Reopen {
  readonly action: 'reopen'
  readonly delayMs: number
}

export interface Failure {
  /** For people. */
  readonly why: string
  /** Another worker committed first. Its position is known already, so there is no delay. */
  readonly isFenced: boolean
}

/**
 * What may happen to a partition. Each event has an answer in each state, which says what the
 * worker has to do now. `now` is in ms of a clock that never goes back.
 */
export interface PartitionEvents {
  /** Its position is known. */
  opened(tracker: Tracker): Ignored | Seek
  openFailed(
    why: string,
    now: number,
  ): Ignored | { readonly action: 'retry'; readonly delayMs: number }
  /** Records from an offset on were fetched. */
  fetched(
    from: number,
    highWatermark: number,
  ): Ignored | Pause | { readonly action: 'take' | 'locate'; readonly tracker: Tracker }
  full(): Ignored | Pause
  roomFreed(): Ignored | { readonly action: 'resume' }
  /**
   * The batch at an offset cannot be read, and is not known to be lost. `isFinal`: reading it again
   * does not help.
   */
  unreadable(
    why: string,
    offset: number,
    isFinal: boolean,
  ):
    | Ignored
    | { readonly action: 'stop' }
    | { readonly action: 'reread'; readonly tracker: Tracker; readonly delayMs: number }
  /** It is in doubt whether reading may go on at the position. */
  doubted(): Ignored | { readonly action: 'locate' }
  /** Reading may go on at the position. */
  located(): Ignored | Seek
  /** Kafka does not have the position any more. */
  gone(why: string): Ignored | { readonly action: 'settle'; readonly tracker: Tracker }
  /** Every sink stores what was read, and the group has it committed. */
  settled(why: string, now: number): Ignored | Reopen
  /** A delivery or another task under this tracker failed. */
  failed(tracker: Tracker, failure: Failure, now: number): Ignored | Reopen | Close
  /** Records below `resumesAt` are lost, and a person must decide. */
  lost(why: string, resumesAt: number | undefined): Ignored | { readonly action: 'stop' }
  /** The worker is about to give it up. */
  drain(): Ignored | Close | { readonly action: 'flush' }
  /** The worker does not own it any more. */
  close(): Ignored | Close
}
