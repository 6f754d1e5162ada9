import { weighted } from '../random.ts'
import type { Kind, ValueMaker } from './kind.ts'
import {
  agents,
  countryOf,
  endpoints,
  heavyUser,
  hex,
  hundredths,
  nameOf,
  outcomeOf,
  products,
  userId,
} from './world.ts'

/**
 * Three unlike shapes. Their JSON is written directly: no value is built and then serialised. All
 * text is either plain ASCII or quoted beforehand.
 */

const orderStates = weighted([
  ['"paid"', 60],
  ['"shipped"', 22],
  ['"cart"', 10],
  ['"cancelled"', 5],
  ['"refunded"', 3],
])
const channels = weighted([
  ['"web"', 11],
  ['"app"', 7],
  ['"shop"', 2],
])
const notes = [
  'please ring twice',
  'leave it with the neighbour',
  'a gift, no invoice inside',
  'two "large" boxes, not three',
  'Vielen Dank für die schnelle Lieferung',
  'call me:\n+49 30 1234567',
  'ありがとう ☕',
].map((note) => JSON.stringify(note))

/** An order of a web shop: keyword, decimals, an array of objects, nulls, a note. */
const order: ValueMaker = ({ random, incident }, quotedType) => {
  const user = heavyUser(random)
  const [country, currency] = countryOf(user)
  const lines = 1 + random.below(random.below(3) + 1)
  let items = ''
  let cents = 0
  for (let i = 0; i < lines; i++) {
    const [sku, price] = random.pick(products)
    const quantity = 1 + random.below(random.below(4) + 1)
    cents += price * quantity
    items += `${i === 0 ? '' : ','}{"sku":"${sku}","quantity":${quantity},"price":${hundredths(price)}}`
  }
  const failed = random.chance(incident ? 0.3 : 0.004)
  const status = failed ? '"payment_failed"' : random.pick(orderStates)
  const coupon = random.chance(0.12) ? `"SAVE${5 * (1 + random.below(4))}"` : 'null'
  const note = random.chance(0.15) ? `,"note":${random.pick(notes)}` : ''
  const id = userId(user)
  return {
    key: id,
    json:
      `{"type":${quotedType},"order_id":"${hex(random)}${hex(random)}","status":${status},` +
      `"amount":${hundredths(cents)},"currency":"${currency}","country":"${country}","channel":${random.pick(channels)},` +
      `"user":{"id":"${id}","name":${JSON.stringify(nameOf(user))},"vip":${user < 20}},"items":[${items}],"coupon":${coupon}${note}}`,
  }
}

const words =
  'cache miss user session price update stock level checkout queue retry slow upstream payment gateway coupon basket search index page image'.split(
    ' ',
  )
const failures = [
  '{"code":"UPSTREAM_TIMEOUT","message":"payment gateway did not answer in 2000 ms","retry":true}',
  '{"code":"DB_POOL_EXHAUSTED","message":"no connection left of 50","retry":true}',
  '{"code":"NULL_POINTER","message":"cannot read \\"price\\" of undefined","retry":false}',
]

/**
 * A request to an API: status code, latency that follows the load, text of words, an error object
 * if it failed.
 */
const request: ValueMaker = (moment, quotedType) => {
  const { random } = moment
  const endpoint = random.pick(endpoints)
  const [method, path] = endpoint
  const anonymous = random.chance(0.3)
  const user = heavyUser(random)
  const [country] = countryOf(user)
  const { failed, code, latency, bytes } = outcomeOf(moment, endpoint)
  let message = random.pick(words)
  for (let more = 2 + random.below(6); more > 0; more--) message += ` ${random.pick(words)}`
  const realPath = path.replace('{id}', String(1 + random.below(500)))
  const id = userId(user)
  return {
    key: anonymous ? null : id,
    json:
      `{"request_id":"${hex(random)}-${hex(random)}","method":"${method}","path":"${realPath}","route":"${path}",` +
      `"status_code":${code},"latency_ms":${hundredths(latency * 100)},"bytes":${bytes},"cached":${random.chance(0.4)},` +
      `"country":"${country}","user":${anonymous ? 'null' : `{"id":"${id}"}`},"user_agent":"${random.pick(agents)}",` +
      `"message":"${message}"${failed ? `,"error":${random.pick(failures)}` : ''},"type":${quotedType}}`,
  }
}

/** Warehouses with their place on the map. */
const sites = [
  ['Rotterdam', '51.9244', '4.4777'],
  ['Leipzig', '51.3397', '12.3731'],
  ['Lyon', '45.7640', '4.8357'],
  ['Gdańsk', '54.3520', '18.6466'],
  ['Memphis', '35.1495', '-90.0490'],
] as const
const zones = ['cold', 'dry', 'dock'] as const
const zoneCelsius = { cold: 4, dry: 19, dock: 15 } as const
const alarms = weighted([
  ['"TEMPERATURE_HIGH"', 5],
  ['"DOOR_OPEN"', 3],
  ['"SENSOR_FAULT"', 1],
])

/**
 * A reading of a warehouse sensor: numbers below zero, an array of numbers, a counter beyond 2^53,
 * a place, a rare alarm.
 */
const reading: ValueMaker = ({ random, timestamp, activity, incident }, quotedType) => {
  const [site, latitude, longitude] = random.pick(sites)
  const zone = random.pick(zones)
  const number = 1 + random.below(8)
  const alarmed = random.chance(incident ? 0.12 : 0.003)
  const celsius = zoneCelsius[zone] - 4 + 6 * activity + 1.2 * random.normal() + (alarmed ? 9 : 0)
  let samples = hundredths(celsius * 100)
  for (let more = 1 + random.below(4); more > 0; more--)
    samples += `,${hundredths((celsius + 0.4 * random.normal()) * 100)}`
  const id = `${site.toLowerCase().replace('ń', 'n')}-${zone}-${number}`
  const battery = 100 - ((Math.floor(timestamp / 3_600_000) + 29 * number) % 97)
  return {
    key: id,
    json:
      `{"sensor":"${id}","site":"${site}","zone":"${zone}","location":{"lat":${latitude},"lon":${longitude}},` +
      `"type":${quotedType},"reading":{"celsius":${hundredths(celsius * 100)},"humidity":${hundredths(35 + 30 * random.unit())},` +
      `"door_open":${random.chance(0.05 + 0.2 * activity)},"battery":${battery}},"samples":[${samples}],` +
      `"stock":${zone === 'dock' ? 'null' : Math.round(400 - 250 * activity + 30 * random.normal())},` +
      `"alarm":${alarmed ? random.pick(alarms) : 'null'},"counter":90071992547${String(random.below(100_000_000)).padStart(8, '0')}}`,
  }
}

export const mixed: Kind = {
  summary: 'Orders, API requests and sensor readings.',
  typePath: 'type',
  shapes: [
    { type: 'object.one', share: 0.45, make: order },
    { type: 'object.two', share: 0.35, make: request },
    { type: 'object.three', share: 0.2, make: reading },
  ],
}
