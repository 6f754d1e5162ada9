import { weighted } from '../random.ts'
import { type Kind, typed, type ValueMaker } from './kind.ts'
import {
  agents,
  amountIn,
  clientIp,
  countryOf,
  heavyUser,
  homeOf,
  products,
  userUuid,
} from './world.ts'

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

/** A state of an order, how often a message brings it, and how long ago it was then placed. */
const states = weighted<readonly [status: string, least: number, most: number]>([
  [['placed', 0, 2 * second], 34],
  [['paid', 20 * second, 8 * minute], 30],
  [['shipped', 4 * hour, 2 * day], 18],
  [['delivered', 2 * day, 6 * day], 12],
  [['cancelled', 5 * minute, day], 4],
  [['refunded', 5 * day, 30 * day], 2],
])
const paidStates = new Set(['paid', 'shipped', 'delivered', 'refunded'])

const offsets: Readonly<Record<string, number>> = { US: -5, GB: 0, BR: -3, JP: 9, IN: 5.5 }

/** The local time of a country with its offset: `2026-11-02T13:30:05+01:00`. */
function localTime(timestamp: number, country: string): string {
  const hours = offsets[country] ?? 1
  const local = new Date(timestamp + hours * hour).toISOString().slice(0, 19)
  const minutes = Math.abs(hours * 60)
  const two = (number: number) => String(number).padStart(2, '0')
  return `${local}${hours < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`
}

/**
 * The present state of an order, with its items. Amounts are texts with their decimals, prices are
 * numbers. A few large orders make much of the revenue.
 *
 * One record in a hundred is dirty: no place, a date that is none, a tax that is no number.
 */
const order: ValueMaker = ({ random, timestamp, incident }, quotedType) => {
  const user = heavyUser(random)
  const [country, currency] = countryOf(user)
  const home = homeOf(user)
  const isBulk = random.chance(0.01)
  const items = Array.from({ length: 1 + random.below(random.below(4) + 1) }, () => {
    const [sku, cents] = random.pick(products)
    const qty = isBulk ? 10 + random.below(90) : 1 + random.below(random.below(4) + 1)
    return { sku, qty, price: Number(amountIn(currency, cents)), cents }
  })
  const goods = items.reduce((sum, { qty, cents }) => sum + qty * cents, 0)
  const shipping = goods >= 5000 ? 0 : 490
  const coupon = random.chance(0.12) ? `SAVE${5 * (1 + random.below(4))}` : null
  const discount = coupon === null ? 0 : Math.round((goods * Number(coupon.slice(4))) / 100)
  const failed = random.chance(incident ? 0.3 : 0.004)
  const [status, least, most] = failed
    ? (['payment_failed', 10 * second, 5 * minute] as const)
    : random.pick(states)
  const placed = Math.floor(timestamp - least - (most - least) * random.unit())
  const paid = Math.min(timestamp, placed + 15 * second + random.below(5 * minute))
  const number = String(Math.floor(placed / 100) % 1e9).padStart(9, '0')
  const dirt = random.unit()
  const location = { lat: home.latitude, lon: home.longitude }
  return {
    key: number,
    json: typed(quotedType, {
      order_id: `${country}-${number}`,
      customer_id: random.chance(0.05) ? null : userUuid(user),
      status,
      placed_at: dirt < 0.002 ? '0000-00-00 00:00:00' : new Date(placed).toISOString(),
      paid_at: paidStates.has(status) ? new Date(paid).toISOString() : null,
      updated_at: localTime(timestamp, country),
      currency,
      total: amountIn(currency, goods + shipping - discount),
      tax: dirt > 0.9994 ? 'n/a' : Number(amountIn(currency, (goods - discount) * 0.19)),
      shipping: Number(amountIn(currency, shipping)),
      ...(discount === 0 ? {} : { discount: `-${amountIn(currency, discount)}` }),
      items: items.map(({ sku, qty, price }) => ({ sku, qty, price })),
      delivery: {
        country,
        city: home.name,
        date: new Date(placed + (2 + random.below(6)) * day).toISOString().slice(0, 10),
        ...(dirt > 0.99 && dirt < 0.996 ? {} : { location }),
      },
      client: {
        ip: dirt > 0.5 && dirt < 0.502 ? 'unknown' : clientIp(user),
        channel: random.pick(['web', 'web', 'app', 'app', 'partner']),
        user_agent: random.pick(agents),
      },
      coupon,
      gift: random.chance(0.07),
    }),
  }
}

export const shop: Kind = {
  summary:
    'Orders of a web shop: nested items, amounts as text and as numbers, ISO dates, a place on the map, an IP address.',
  typePath: 'type',
  shapes: [{ type: 'order', share: 1, make: order }],
}
