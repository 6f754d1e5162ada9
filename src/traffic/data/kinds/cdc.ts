import type { Random } from '../random.ts'
import type { Kind, MadeValue, Moment, Shape } from './kind.ts'
import {
  amountIn,
  chanceOf,
  countryOf,
  heavyUser,
  homeOf,
  nameOf,
  products,
  userId,
  users,
} from './world.ts'

/**
 * Rows of a PostgreSQL database as Debezium sends them, with JSON without schemas and
 * `decimal.handling.mode=string`. A column of `io.debezium.time.MicroTimestamp` is microseconds
 * since 1970, one of `io.debezium.time.Date` days since 1970, one of `ZonedTimestamp` ISO text.
 */

type Row = Readonly<Record<string, unknown>>

interface Table {
  readonly name: string
  readonly share: number
  /** Of 100 changes, how many are creates, updates and deletes. */
  readonly creates: number
  readonly deletes: number
  /** False: the table's replica identity is its key, and `before` is null unless a row goes. */
  readonly hasBefore: boolean
  readonly key: (moment: Moment, isNew: boolean) => Row
  /** The columns that never change are those of the key, whenever it is met. */
  readonly row: (key: Row, moment: Moment, stage: Stage) => Row
}

/** A row when it is created, and on both sides of a later change. */
type Stage = 'new' | 'before' | 'after'

const msPerDay = 86_400_000
const firstId = 100_000
const firstCustomer = 1000
const unavailable = '__debezium_unavailable_value'

/** A number that a new row gets; an update is to one of the rows before, most often a young one. */
function serial({ random, index }: Moment, isNew: boolean): number {
  const newest = firstId + index
  return isNew ? newest : newest - Math.floor(20_000 ** random.unit())
}

/** When the row of a number was created. */
const createdAt = (id: number, { timeOf }: Moment): number => timeOf(id - firstId)

/** Microseconds since 1970: a whole number that a double holds. */
const micros = (ms: number, random: Random): number => Math.floor(ms) * 1000 + random.below(1000)

const orderStates = ['new', 'paid', 'packed', 'shipped', 'delivered'] as const

const tables: readonly Table[] = [
  {
    name: 'orders',
    share: 0.45,
    creates: 30,
    deletes: 2,
    hasBefore: true,
    key: (moment, isNew) => ({ id: serial(moment, isNew) }),
    row: (key, moment, stage) => {
      const id = key.id as number
      const fixed = chanceOf('orders', id)
      const user = heavyUser(fixed)
      const [, currency] = countryOf(user)
      const created = createdAt(id, moment)
      const step = fixed.below(orderStates.length - 1) + (stage === 'after' ? 1 : 0)
      return {
        ...key,
        customer_id: firstCustomer + user,
        status: orderStates[stage === 'new' ? 0 : step],
        total: amountIn(currency, 890 * Math.exp(1.1 + 0.9 * fixed.normal())),
        currency,
        due_date: Math.floor(created / msPerDay) + 14,
        created_at: micros(created, fixed),
        updated_at: new Date(moment.timestamp - moment.random.below(400)).toISOString(),
        // PostgreSQL does not log a long text that an update leaves as it is.
        note: fixed.chance(0.9) ? null : stage === 'after' ? unavailable : 'leave it at the door',
      }
    },
  },
  {
    name: 'payments',
    share: 0.25,
    creates: 70,
    deletes: 0,
    hasBefore: true,
    key: (moment, isNew) => ({ id: serial(moment, isNew) }),
    row: (key, { timestamp, incident, random }, stage) => {
      const fixed = chanceOf('payments', key.id as number)
      const [, currency] = countryOf(heavyUser(fixed))
      const ended = random.chance(incident ? 0.35 : 0.02) ? 'declined' : 'captured'
      return {
        ...key,
        order_id: (key.id as number) - fixed.below(500),
        state: stage === 'after' ? ended : 'authorised',
        amount: amountIn(currency, 890 * Math.exp(1.1 + 0.9 * fixed.normal())),
        fee: amountIn(currency, 30 + fixed.below(90)),
        currency,
        method: fixed.pick(['card', 'card', 'card', 'paypal', 'invoice']),
        risk_score: Number((fixed.unit() ** 3).toFixed(4)),
        paid_at: fixed.chance(0.003) ? 'infinity' : new Date(timestamp - 300).toISOString(),
      }
    },
  },
  {
    name: 'inventory',
    share: 0.2,
    creates: 1,
    deletes: 1,
    hasBefore: true,
    key: ({ random }) => ({
      sku: random.pick(products)[0],
      warehouse: random.pick(['rotterdam', 'leipzig', 'lyon']),
    }),
    row: (key, { random, activity, timestamp }, stage) => ({
      ...key,
      quantity: Math.max(0, Math.round(400 - 250 * activity + 30 * random.normal())),
      reserved: random.below(stage === 'before' ? 30 : 40),
      unit_cost: amountIn('EUR', 120 + 40 * String(key.sku).length),
      counted_on: Math.floor(timestamp / msPerDay) - random.below(30),
    }),
  },
  {
    name: 'customers',
    share: 0.1,
    creates: 25,
    deletes: 8,
    hasBefore: false,
    key: ({ random, index }, isNew) => ({
      id: firstCustomer + (isNew ? users + index : heavyUser(random)),
    }),
    row: (key, { timeOf, random }) => {
      const user = (key.id as number) - firstCustomer
      const fixed = chanceOf('customers', user)
      const age = fixed.below(900 * msPerDay)
      const created = user < users ? timeOf(0) - age : timeOf(user - users)
      return {
        ...key,
        email: `${userId(user)}@example.com`,
        name: nameOf(user),
        country: countryOf(user)[0],
        city: homeOf(user).name,
        credit_limit: `${fixed.below(50) * 100}.00`,
        birth_date: fixed.chance(0.2) ? null : -7_000 + fixed.below(20_000),
        newsletter: random.chance(0.4),
        created_at: micros(created, fixed),
      }
    },
  },
]

/** The first changes are the rows that the connector found when it began. */
const snapshotRecords = 400

/** Milliseconds between a commit in the database and its record in Kafka: minutes at worst. */
function lagOf({ random, incident }: Moment): number {
  return 40 + Math.round(120 * Math.exp(0.7 * random.normal()) * (incident ? 150 : 1))
}

/** A moment in Debezium's three units. Nanoseconds are beyond what a double counts in ones. */
function units(ms: number, random: Random): Readonly<Record<'ms' | 'us' | 'ns', string>> {
  const us = String(micros(ms, random))
  return { ms: String(ms), us, ns: us + String(random.below(1000)).padStart(3, '0') }
}

function operationOf(
  { creates, deletes }: Table,
  { random, index }: Moment,
): 'r' | 'c' | 'u' | 'd' {
  if (index < snapshotRecords) return 'r'
  const roll = 100 * random.unit()
  if (roll < creates) return 'c'
  return roll < 100 - deletes ? 'u' : 'd'
}

function beforeOf(table: Table, op: string, key: Row, moment: Moment): Row | null {
  if (op === 'c' || op === 'r') return null
  if (table.hasBefore) return table.row(key, moment, 'before')
  return op === 'd' ? key : null
}

function change(table: Table, moment: Moment, quotedType: string): MadeValue {
  const { random, index, timestamp } = moment
  const op = operationOf(table, moment)
  const isNew = op === 'c' || op === 'r'
  const key = table.key(moment, isNew)
  const before = beforeOf(table, op, key, moment)
  const after = op === 'd' ? null : table.row(key, moment, isNew ? 'new' : 'after')
  const lag = lagOf(moment)
  const committed = units(timestamp - lag, random)
  const read = units(timestamp - Math.floor(lag * (0.1 + 0.4 * random.unit())), random)
  const lsn = 26_000_000_000 + index * 512
  return {
    key: JSON.stringify(key),
    json:
      `{"before":${JSON.stringify(before)},"after":${JSON.stringify(after)},"source":{"version":"3.3.1.Final",` +
      `"connector":"postgresql","name":"shop","ts_ms":${committed.ms},"snapshot":"${op === 'r'}","db":"shop",` +
      `"sequence":"[\\"${lsn - 56}\\",\\"${lsn}\\"]","ts_us":${committed.us},"ts_ns":${committed.ns},"schema":"public",` +
      `"table":${quotedType},"txId":${700_000 + (index >> 2)},"lsn":${lsn},"xmin":null},"transaction":null,"op":"${op}",` +
      `"ts_ms":${read.ms},"ts_us":${read.us},"ts_ns":${read.ns}}`,
    isDelete: op === 'd',
  }
}

export const cdc: Kind = {
  summary:
    'Rows that change in PostgreSQL, as Debezium sends them: before and after, decimals as text, epoch times. A tombstone follows each delete.',
  typePath: 'source.table',
  shapes: tables.map(
    (table): Shape => ({
      type: table.name,
      share: table.share,
      make: (moment, quotedType) => change(table, moment, quotedType),
    }),
  ),
  tombstones: true,
}
