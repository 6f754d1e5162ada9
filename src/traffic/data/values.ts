import { type Random, weighted } from './random.ts'

/** The inputs of a value, besides chance. */
export interface Moment {
  readonly random: Random
  /** Milliseconds since 1970. */
  readonly timestamp: number
  /** 0 to 1, how busy the time of day is. */
  readonly activity: number
  /** Whether errors and latency are high. */
  readonly incident: boolean
}

export interface MadeValue {
  readonly key: string | null
  /**
   * JSON, written directly: no value is built and then serialised. All text is either plain ASCII
   * or quoted beforehand.
   */
  readonly json: string
}

/** Makes values of one shape under the given type name, which is already quoted as JSON. */
export type ValueMaker = (moment: Moment, quotedType: string) => MadeValue

const users = 2_000
const firstNames = [
  'Ana',
  'Bo',
  'Chloé',
  'Dmitri',
  'Elif',
  'Farid',
  'Grace',
  'Hiro',
  'Ines',
  'Jürgen',
  'Kofi',
  'Lena',
  '美咲',
]
const lastNames = [
  'Silva',
  'Nielsen',
  'Dubois',
  'Petrov',
  'Kaya',
  'Haddad',
  "O'Neill",
  'Tanaka',
  'García',
  'Weiß',
  'Mensah',
]
const names = firstNames.flatMap((first) =>
  lastNames.map((last) => JSON.stringify(`${first} ${last}`)),
)
/** Country, its currency, and how much of the business it is. */
const countries = weighted<readonly [country: string, currency: string]>([
  [['DE', 'EUR'], 24],
  [['US', 'USD'], 20],
  [['FR', 'EUR'], 12],
  [['GB', 'GBP'], 10],
  [['PL', 'PLN'], 8],
  [['BR', 'BRL'], 7],
  [['JP', 'JPY'], 6],
  [['IN', 'INR'], 5],
  [['SE', 'SEK'], 4],
  [['CH', 'CHF'], 4],
])

/** A few users cause most records: user 0 about one in eleven. */
function heavyUser(random: Random): number {
  return Math.floor(users ** random.unit()) - 1
}
const userId = (user: number): string => `user-${String(user).padStart(5, '0')}`
/** A user lives in one country and has one name. */
const countryOf = (user: number): readonly [string, string] =>
  countries[(user * 37 + 5) % countries.length]!
const nameOf = (user: number): string => names[(user * 31) % names.length]!

/**
 * Hundredths as a decimal: `1234` → `12.34`, `1200` → `12.00`. The zeros stay because a producer's
 * digits are kept.
 */
function hundredths(value: number): string {
  const rounded = Math.round(Math.abs(value))
  const cents = rounded % 100
  return `${value < 0 && rounded > 0 ? '-' : ''}${(rounded - cents) / 100}.${cents < 10 ? '0' : ''}${cents}`
}
const hex = (random: Random): string => random.uint32().toString(16).padStart(8, '0')

const products = weighted<readonly [sku: string, cents: number]>([
  [['SKU-1001-COFFEE', 1290], 9],
  [['SKU-1002-TEA', 890], 6],
  [['SKU-2001-MUG', 1450], 5],
  [['SKU-2002-KETTLE', 5990], 3],
  [['SKU-3001-GRINDER', 12900], 2],
  [['SKU-3002-MACHINE', 64900], 1],
  [['SKU-4001-FILTERS', 450], 7],
])
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
export const order: ValueMaker = ({ random, incident }, quotedType) => {
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
      `"user":{"id":"${id}","name":${nameOf(user)},"vip":${user < 20}},"items":[${items}],"coupon":${coupon}${note}}`,
  }
}

/** Method, path, its usual latency in ms, and bytes answered. */
const endpoints = weighted<readonly [method: string, path: string, latency: number, bytes: number]>(
  [
    [['GET', '/api/products', 18, 9_000], 30],
    [['GET', '/api/products/{id}', 9, 2_100], 26],
    [['GET', '/api/search', 74, 14_000], 14],
    [['POST', '/api/cart/items', 22, 600], 12],
    [['POST', '/api/orders', 140, 1_200], 6],
    [['PUT', '/api/users/{id}', 35, 800], 3],
    [['DELETE', '/api/cart/items/{id}', 15, 120], 3],
    [['GET', '/health', 1.2, 15], 6],
  ],
)
const agents = weighted([
  ['Mozilla/5.0 (Windows NT 10.0) Chrome/141.0', 9],
  ['Mozilla/5.0 (iPhone; iOS 19.1) Safari/605.1', 7],
  ['Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0', 3],
  ['shop-app/7.4.1 (Android 16)', 5],
  ['python-requests/2.32', 1],
  ['Googlebot/2.1 (+http://www.google.com/bot.html)', 1],
])
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
export const request: ValueMaker = ({ random, activity, incident }, quotedType) => {
  const [method, path, usual, bytes] = random.pick(endpoints)
  const anonymous = random.chance(0.3)
  const user = heavyUser(random)
  const [country] = countryOf(user)
  const roll = random.unit()
  const failed = roll < (incident ? 0.22 : 0.002 + 0.006 * activity)
  const code = failed
    ? random.pick([500, 502, 503, 504])
    : roll > 0.985
      ? 404
      : roll > 0.97
        ? 401
        : method === 'POST'
          ? 201
          : 200
  const latency =
    usual *
    (1 + 1.5 * activity) *
    Math.exp(0.45 * random.normal()) *
    (failed ? 14 : incident ? 4 : 1)
  const size = code >= 400 ? 90 : Math.round(bytes * (0.6 + 0.8 * random.unit()))
  let message = random.pick(words)
  for (let more = 2 + random.below(6); more > 0; more--) message += ` ${random.pick(words)}`
  const realPath = path.replace('{id}', String(1 + random.below(500)))
  const id = userId(user)
  return {
    key: anonymous ? null : id,
    json:
      `{"request_id":"${hex(random)}-${hex(random)}","method":"${method}","path":"${realPath}","route":"${path}",` +
      `"status_code":${code},"latency_ms":${hundredths(latency * 100)},"bytes":${size},"cached":${random.chance(0.4)},` +
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
export const reading: ValueMaker = ({ random, timestamp, activity, incident }, quotedType) => {
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

/** The shapes, in the order in which type names get them. */
export const valueMakers: readonly ValueMaker[] = [order, request, reading]
