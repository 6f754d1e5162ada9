import { weighted } from '../random.ts'
import type { Kind, MadeValue, Moment, Shape } from './kind.ts'
import {
  amountIn,
  clientIp,
  countryOf,
  heavyUser,
  hex,
  homeOf,
  products,
  userId,
  uuid,
} from './world.ts'

/** CloudEvents 1.0 in the structured mode: one JSON object with the event's attributes and data. */

/** What one type of events has besides the attributes of all. */
interface EventType {
  readonly type: string
  readonly share: number
  readonly source: (moment: Moment) => string
  readonly about: (moment: Moment) => About
}

interface About {
  readonly subject: string
  readonly data?: Readonly<Record<string, unknown>>
  /** With `data_base64` instead of `data`. */
  readonly bytes?: Buffer
}

const shops = weighted([
  ['berlin', 5],
  ['lyon', 3],
  ['chicago', 4],
  ['tokyo', 1],
])
const carriers = weighted([
  ['DHL', 5],
  ['UPS', 3],
  ['DPD', 2],
])
const pages = weighted([
  ['/', 6],
  ['/coffee', 9],
  ['/tea', 4],
  ['/machines', 3],
  ['/basket', 4],
  ['/checkout', 2],
])

const day = 86_400_000
const orderNumber = ({ index, random }: Moment): string =>
  `orders/${500_000 + index - random.below(200)}`

const eventTypes: readonly EventType[] = [
  {
    type: 'com.example.order.placed',
    share: 0.25,
    source: ({ random }) => `/shops/${random.pick(shops)}`,
    about: (moment) => {
      const { random } = moment
      const user = heavyUser(random)
      const [country, currency] = countryOf(user)
      const cents = random.pick(products)[1] * (1 + random.below(random.below(5) + 1))
      return {
        subject: orderNumber(moment),
        data: {
          customer: userId(user),
          country,
          amount: { value: amountIn(currency, cents), currency },
          lines: 1 + random.below(4),
          first_order: random.chance(0.2),
        },
      }
    },
  },
  {
    type: 'com.example.payment.captured',
    share: 0.2,
    source: ({ random }) => `/payments/${random.pick(['adyen', 'adyen', 'stripe', 'paypal'])}`,
    about: (moment) => {
      const { random, incident } = moment
      const [, currency] = countryOf(heavyUser(random))
      return {
        subject: orderNumber(moment),
        data: {
          payment_id: `pay_${hex(random)}${hex(random)}`,
          amount_minor: Math.round(890 * Math.exp(1.1 + 0.9 * random.normal())),
          currency,
          attempts: 1 + (random.chance(incident ? 0.5 : 0.05) ? 1 + random.below(3) : 0),
          took_ms: Math.round(180 * Math.exp(0.5 * random.normal()) * (incident ? 8 : 1)),
        },
      }
    },
  },
  {
    type: 'com.example.order.shipped',
    share: 0.15,
    source: ({ random }) => `/warehouses/${random.pick(['rotterdam', 'leipzig', 'memphis'])}`,
    about: (moment) => {
      const { random, timestamp } = moment
      const home = homeOf(heavyUser(random))
      const carrier = random.pick(carriers)
      return {
        subject: orderNumber(moment),
        data: {
          carrier,
          tracking: `${carrier}${hex(random).toUpperCase()}`,
          weight_kg: Number((0.3 * Math.exp(1 + 0.7 * random.normal())).toFixed(2)),
          eta: new Date(timestamp + (1 + random.below(5)) * day).toISOString().slice(0, 10),
          destination: { lat: home.latitude, lon: home.longitude },
        },
      }
    },
  },
  {
    type: 'com.example.user.signed_in',
    share: 0.1,
    source: () => '/identity',
    about: ({ random, incident }) => {
      const user = heavyUser(random)
      return {
        subject: `users/${userId(user)}`,
        data: {
          ip: clientIp(user),
          method: random.pick(['password', 'password', 'passkey', 'google']),
          success: !random.chance(incident ? 0.3 : 0.04),
          country: countryOf(user)[0],
        },
      }
    },
  },
  {
    type: 'com.example.page.viewed',
    share: 0.27,
    source: ({ random }) => `/shops/${random.pick(shops)}`,
    about: ({ random, activity, incident }) => ({
      subject: `sessions/${hex(random)}`,
      data: {
        url: `https://shop.example.com${random.pick(pages)}`,
        referrer: random.chance(0.4) ? 'https://www.example.org/search' : null,
        load_ms: Math.round(
          240 * (1 + activity) * Math.exp(0.6 * random.normal()) * (incident ? 5 : 1),
        ),
        viewport: { width: random.pick([390, 412, 1440, 1920]), dark: random.chance(0.35) },
      },
    }),
  },
  {
    type: 'com.example.invoice.rendered',
    share: 0.03,
    source: () => '/billing',
    about: (moment) => ({
      subject: orderNumber(moment),
      bytes: Buffer.from(`%PDF-1.7 invoice ${hex(moment.random)}`),
    }),
  },
]

function event({ source, about }: EventType, moment: Moment, quotedType: string): MadeValue {
  const { random, timestamp } = moment
  const id = uuid(random)
  const from = source(moment)
  const { subject, data, bytes } = about(moment)
  const happened = new Date(timestamp - random.below(900)).toISOString()
  const dirt = random.unit()
  const attributes = {
    ...(dirt < 0.004 ? {} : { subject }),
    // Both are optional; a producer in a thousand writes a date that is none.
    ...(dirt > 0.999 ? { time: '2026-02-30T25:00:00Z' } : dirt > 0.996 ? {} : { time: happened }),
    datacontenttype: bytes === undefined ? 'application/json' : 'application/pdf',
    ...(random.chance(0.6)
      ? {
          traceparent: `00-${hex(random)}${hex(random)}${hex(random)}${hex(random)}-${hex(random)}${hex(random)}-01`,
        }
      : {}),
    ...(bytes === undefined ? { data } : { data_base64: bytes.toString('base64') }),
  }
  return {
    key: subject,
    json: `{"specversion":"1.0","id":"${id}","source":"${from}","type":${quotedType},${JSON.stringify(attributes).slice(1)}`,
  }
}

export const cloudevents: Kind = {
  summary:
    'CloudEvents 1.0 in structured mode: several types and sources, each type with data of its own.',
  typePath: 'type',
  shapes: eventTypes.map(
    (eventType): Shape => ({
      type: eventType.type,
      share: eventType.share,
      make: (moment, quotedType) => event(eventType, moment, quotedType),
    }),
  ),
}
