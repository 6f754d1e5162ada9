import { hashText, Random, weighted } from '../random.ts'
import type { Moment } from './kind.ts'

/** What all kinds of messages speak of: users, places, goods and the endpoints of an API. */

export const users = 2_000
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
const names = firstNames.flatMap((first) => lastNames.map((last) => `${first} ${last}`))

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
export function heavyUser(random: Random): number {
  return Math.floor(users ** random.unit()) - 1
}
export const userId = (user: number): string => `user-${String(user).padStart(5, '0')}`
/** A user lives in one country and has one name. */
export const countryOf = (user: number): readonly [country: string, currency: string] =>
  countries[(user * 37 + 5) % countries.length]!
export const nameOf = (user: number): string => names[(user * 31) % names.length]!

/** A chance that belongs to one thing: the same whenever and wherever it is met. */
export function chanceOf(what: string, number: number): Random {
  const random = new Random()
  random.reset(hashText(what), number)
  return random
}

/**
 * Hundredths as a decimal: `1234` → `12.34`, `1200` → `12.00`. The zeros stay because a producer's
 * digits are kept.
 */
export function hundredths(value: number): string {
  const rounded = Math.round(Math.abs(value))
  const cents = rounded % 100
  return `${value < 0 && rounded > 0 ? '-' : ''}${(rounded - cents) / 100}.${cents < 10 ? '0' : ''}${cents}`
}
export const hex = (random: Random): string => random.uint32().toString(16).padStart(8, '0')

/** A random UUID: version 4, variant 1 (RFC 9562). */
export function uuid(random: Random): string {
  const [a, b, c, d] = [hex(random), hex(random), hex(random), hex(random)]
  const variant = '89ab'[Number.parseInt(c[0]!, 16) & 3]!
  return `${a}-${b.slice(0, 4)}-4${b.slice(5)}-${variant}${c.slice(1, 4)}-${c.slice(4)}${d}`
}

/** The UUID by which a user is known. */
export const userUuid = (user: number): string => uuid(chanceOf('user', user))

/** An address of the ranges for documentation (RFC 5737, RFC 3849); one in ten is IPv6. */
export function clientIp(user: number): string {
  const random = chanceOf('address', user)
  if (random.chance(0.1))
    return `2001:db8:${random.below(0xffff).toString(16)}::${(1 + random.below(0xfffe)).toString(16)}`
  return `${random.pick(['192.0.2', '198.51.100', '203.0.113'])}.${1 + random.below(254)}`
}

interface City {
  readonly name: string
  readonly latitude: number
  readonly longitude: number
}
const city = (name: string, latitude: number, longitude: number): City => ({
  name,
  latitude,
  longitude,
})
const cities: Readonly<Record<string, readonly City[]>> = {
  DE: [
    city('Berlin', 52.52, 13.405),
    city('Köln', 50.9375, 6.9603),
    city('München', 48.1371, 11.5754),
  ],
  US: [
    city('New York', 40.7128, -74.006),
    city('Chicago', 41.8781, -87.6298),
    city('Austin', 30.2672, -97.7431),
  ],
  FR: [city('Paris', 48.8566, 2.3522), city('Lyon', 45.764, 4.8357)],
  GB: [city('London', 51.5072, -0.1276), city('Leeds', 53.8008, -1.5491)],
  PL: [city('Warszawa', 52.2297, 21.0122), city('Gdańsk', 54.352, 18.6466)],
  BR: [city('São Paulo', -23.5558, -46.6396)],
  JP: [city('Tokyo', 35.6764, 139.65)],
  IN: [city('Bengaluru', 12.9716, 77.5946)],
  SE: [city('Stockholm', 59.3293, 18.0686)],
  CH: [city('Zürich', 47.3769, 8.5417)],
}

/** Where a user lives: in a city of the country, a few kilometres from its centre. */
export function homeOf(user: number): City {
  const random = chanceOf('home', user)
  const { name, latitude, longitude } = random.pick(cities[countryOf(user)[0]]!)
  const near = (degrees: number) => Number((degrees + 0.03 * random.normal()).toFixed(5))
  return city(name, near(latitude), near(longitude))
}

export const products = weighted<readonly [sku: string, cents: number]>([
  [['SKU-1001-COFFEE', 1290], 9],
  [['SKU-1002-TEA', 890], 6],
  [['SKU-2001-MUG', 1450], 5],
  [['SKU-2002-KETTLE', 5990], 3],
  [['SKU-3001-GRINDER', 12900], 2],
  [['SKU-3002-MACHINE', 64900], 1],
  [['SKU-4001-FILTERS', 450], 7],
])

/** Units of a currency for one euro, about, and how many decimals its amounts have. */
const currencies: Readonly<Record<string, readonly [perEuro: number, decimals: 0 | 2]>> = {
  EUR: [1, 2],
  USD: [1.1, 2],
  GBP: [0.85, 2],
  PLN: [4.3, 2],
  BRL: [6.1, 2],
  JPY: [165, 0],
  INR: [96, 2],
  SEK: [11.2, 2],
  CHF: [0.95, 2],
}

/** Euro cents as an amount of a currency, with the decimals that it is written with. */
export function amountIn(currency: string, euroCents: number): string {
  const [perEuro, decimals] = currencies[currency]!
  return ((euroCents * perEuro) / 100).toFixed(decimals)
}

/** A path of the API, with its usual latency in ms and how many bytes it answers. */
export type Endpoint = readonly [method: string, path: string, latency: number, bytes: number]
export const endpoints = weighted<Endpoint>([
  [['GET', '/api/products', 18, 9_000], 30],
  [['GET', '/api/products/{id}', 9, 2_100], 26],
  [['GET', '/api/search', 74, 14_000], 14],
  [['POST', '/api/cart/items', 22, 600], 12],
  [['POST', '/api/orders', 140, 1_200], 6],
  [['PUT', '/api/users/{id}', 35, 800], 3],
  [['DELETE', '/api/cart/items/{id}', 15, 120], 3],
  [['GET', '/health', 1.2, 15], 6],
])
export const agents = weighted([
  ['Mozilla/5.0 (Windows NT 10.0) Chrome/141.0', 9],
  ['Mozilla/5.0 (iPhone; iOS 19.1) Safari/605.1', 7],
  ['Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0', 3],
  ['shop-app/7.4.1 (Android 16)', 5],
  ['python-requests/2.32', 1],
  ['Googlebot/2.1 (+http://www.google.com/bot.html)', 1],
])

/** How a request ends. */
export interface Outcome {
  readonly failed: boolean
  readonly code: number
  /** In milliseconds. */
  readonly latency: number
  readonly bytes: number
}

/** The outcome of a request: latency follows the load; an incident brings errors and delay. */
export function outcomeOf(
  { random, activity, incident }: Pick<Moment, 'random' | 'activity' | 'incident'>,
  [method, , usual, bytes]: Endpoint,
): Outcome {
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
  return {
    failed,
    code,
    latency,
    bytes: code >= 400 ? 90 : Math.round(bytes * (0.6 + 0.8 * random.unit())),
  }
}
