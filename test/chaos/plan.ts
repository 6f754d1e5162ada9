import { faultPoints } from '../../src/runtime/fault.ts'
import { seeded } from '../helpers/seeded.ts'

/** What `--faults` names. */
export const faultKinds = [
  'kill',
  'stop',
  'term',
  'broker',
  'elasticsearch',
  'disk',
  'bomb',
  'document',
  'log',
  'wrapper',
  'clock',
] as const
/** `mysql` comes with `--mysql`, `store` with `--home s3`. */
export type FaultKind = (typeof faultKinds)[number] | 'mysql' | 'store'

/** What the store of a bucket does, or what the endpoint in front of it does to requests. */
export const storeActions = [
  'store-503',
  'store-409',
  'store-lost-answers',
  'store-resets',
  'store-cut-bodies',
  'store-error-inside',
  'store-late',
  'store-slow',
  'store-forgets-completed',
  'store-ends-uploads',
  'store-kill',
  'store-restart',
  'store-freeze',
] as const
export type StoreAction = (typeof storeActions)[number]

/** One thing that will be broken, and when; all of it follows from the seed. */
export type Fault = { readonly atMs: number; readonly kind: FaultKind } & (
  | { readonly action: 'kill' | 'term'; readonly worker: number }
  | { readonly action: 'crash'; readonly point: string }
  | { readonly action: 'freeze'; readonly worker: number; readonly ms: number }
  | { readonly action: 'scale'; readonly workers: number }
  | {
      readonly action: 'broker-kill' | 'broker-restart' | 'broker-away' | 'broker-freeze'
      readonly ms: number
    }
  | {
      readonly action:
        | 'engine-429'
        | 'engine-503'
        | 'engine-cut'
        | 'engine-mute'
        | 'engine-stall'
        | 'engine-html'
        | 'engine-kill'
        | 'engine-restart'
        | 'engine-freeze'
      readonly ms: number
    }
  | {
      readonly action: 'mysql-kill' | 'mysql-restart' | 'mysql-freeze' | 'mysql-disconnect'
      readonly ms: number
    }
  | { readonly action: StoreAction; readonly ms: number }
  | { readonly action: 'disk-full' | 'disk-read-only' | 'disk-forbidden'; readonly ms: number }
  | {
      readonly action: 'bomb-kept' | 'bomb-oversized' | 'document-refused'
      readonly partition: number
    }
  | { readonly action: 'log-full' }
  | { readonly action: 'log-closed'; readonly worker: number }
  | { readonly action: 'wrapper-kill'; readonly ms: number }
  | { readonly action: 'clock-back' | 'clock-ahead'; readonly ms: number }
)

export interface PlanOptions {
  readonly seed: number
  readonly seconds: number
  readonly workers: number
  readonly kinds: readonly FaultKind[]
  readonly sessionTimeoutMs: number
  /** Mean time between two faults, in ms. */
  readonly everyMs: number
  /** Once in the run the broker, and once the engine, is away for this time, in ms. */
  readonly awayMs?: number
}

/** How often a kind comes, against the others. */
const weights: Readonly<Record<FaultKind, number>> = {
  kill: 6,
  stop: 3,
  term: 4,
  broker: 1.5,
  elasticsearch: 5,
  disk: 2,
  bomb: 2,
  document: 2,
  log: 2,
  wrapper: 2,
  clock: 2,
  mysql: 4,
  store: 10,
}
const mostWorkers = 6

/**
 * The faults of a run, in order of time. The first comes after the workers have begun, the last
 * leaves time to see what it did.
 */
export function makePlan(options: PlanOptions): Fault[] {
  const random = seeded(options.seed)
  const between = (low: number, high: number) => Math.round(low + (high - low) * random())
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!
  const total = options.kinds.reduce((sum, kind) => sum + weights[kind], 0)
  const kindOf = (roll: number): FaultKind => {
    let rest = roll * total
    for (const kind of options.kinds) {
      rest -= weights[kind]
      if (rest < 0) return kind
    }
    return options.kinds.at(-1)!
  }
  const faults: Fault[] = []
  let atMs = 8000
  while (atMs < options.seconds * 1000 - 3000) {
    const kind = kindOf(random())
    const worker = Math.floor(random() * mostWorkers)
    switch (kind) {
      case 'kill':
        if (random() < 0.5) faults.push({ atMs, kind, action: 'kill', worker })
        else
          faults.push({
            atMs,
            kind,
            action: 'crash',
            point: `${pick(faultPoints)}:${between(1, 4)}`,
          })
        break
      case 'stop':
        faults.push({
          atMs,
          kind,
          action: 'freeze',
          worker,
          ms: options.sessionTimeoutMs + between(500, 6000),
        })
        break
      case 'term':
        if (random() < 0.6) faults.push({ atMs, kind, action: 'term', worker })
        else
          faults.push({
            atMs,
            kind,
            action: 'scale',
            workers: random() < 0.5 ? options.workers : between(1, mostWorkers),
          })
        break
      case 'broker': {
        const action = pick([
          'broker-kill',
          'broker-restart',
          'broker-away',
          'broker-freeze',
        ] as const)
        faults.push({
          atMs,
          kind,
          action,
          ms: action === 'broker-away' ? between(8000, 20_000) : between(2000, 8000),
        })
        break
      }
      case 'elasticsearch': {
        const gentle = random() < 0.85
        const action = gentle
          ? pick([
              'engine-429',
              'engine-503',
              'engine-cut',
              'engine-mute',
              'engine-mute',
              'engine-stall',
              'engine-html',
              'engine-freeze',
            ] as const)
          : pick(['engine-kill', 'engine-restart'] as const)
        faults.push({ atMs, kind, action, ms: between(1500, 6000) })
        break
      }
      case 'mysql':
        faults.push({
          atMs,
          kind,
          action: pick([
            'mysql-kill',
            'mysql-restart',
            'mysql-freeze',
            'mysql-disconnect',
          ] as const),
          ms: between(1500, 12_000),
        })
        break
      case 'store':
        faults.push({ atMs, kind, action: pick(storeActions), ms: between(1500, 8000) })
        break
      case 'disk':
        faults.push({
          atMs,
          kind,
          action: pick(['disk-full', 'disk-full', 'disk-read-only', 'disk-forbidden'] as const),
          ms: between(2000, 8000),
        })
        break
      case 'bomb':
        faults.push({
          atMs,
          kind,
          action: pick(['bomb-kept', 'bomb-oversized'] as const),
          partition: between(0, 3),
        })
        break
      case 'document':
        faults.push({ atMs, kind, action: 'document-refused', partition: between(0, 3) })
        break
      case 'log':
        if (random() < 0.5) faults.push({ atMs, kind, action: 'log-full' })
        else faults.push({ atMs, kind, action: 'log-closed', worker })
        break
      case 'wrapper':
        faults.push({ atMs, kind, action: 'wrapper-kill', ms: between(4000, 10_000) })
        break
      case 'clock':
        faults.push({
          atMs,
          kind,
          action: pick(['clock-back', 'clock-ahead'] as const),
          ms: between(5000, 20_000),
        })
        break
    }
    atMs += between(options.everyMs * 0.4, options.everyMs * 1.6)
  }
  return [...faults, ...longOutages(options)].sort((a, b) => a.atMs - b.atMs)
}

function longOutages({ seconds, kinds, awayMs: ms }: PlanOptions): Fault[] {
  if (ms === undefined) return []
  const at = (part: number) => Math.round(seconds * 1000 * part)
  const outages: Fault[] = [
    { atMs: at(0.2), kind: 'broker', action: 'broker-away', ms },
    { atMs: at(0.6), kind: 'elasticsearch', action: 'engine-restart', ms },
  ]
  return outages.filter(({ kind }) => kinds.includes(kind))
}
