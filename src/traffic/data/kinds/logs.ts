import { weighted } from '../random.ts'
import { type Kind, typed, type ValueMaker } from './kind.ts'
import { agents, clientIp, endpoints, heavyUser, hex, outcomeOf } from './world.ts'

/** Services with their version and how much they log. */
const services = weighted<readonly [name: string, version: string]>([
  [['checkout', '2.14.0'], 4],
  [['catalogue', '5.2.1'], 6],
  [['gateway', '1.9.3'], 8],
  [['payments', '0.31.0'], 2],
])

/** Levels as OpenTelemetry numbers them: 5-8 debug, 9-12 info, 13-16 warn, 17-20 error. */
const levels = {
  DEBUG: 5,
  INFO: 9,
  WARN: 13,
  ERROR: 17,
} as const
type Level = keyof typeof levels
const usual = weighted<Level>([
  ['DEBUG', 12],
  ['INFO', 80],
  ['WARN', 6],
  ['ERROR', 1],
])
const inIncident = weighted<Level>([
  ['DEBUG', 5],
  ['INFO', 45],
  ['WARN', 20],
  ['ERROR', 30],
])

const bodies: Readonly<Record<Level, readonly string[]>> = {
  DEBUG: ['cache miss', 'connection taken from the pool', 'feature flag read'],
  INFO: ['request answered', 'order accepted', 'stock updated', 'session started'],
  WARN: ['slow query', 'retrying the payment gateway', 'cache is almost full'],
  ERROR: [
    'payment gateway did not answer in 2000 ms',
    'no connection left of 50',
    'unhandled exception',
  ],
}
const exceptions = ['TimeoutError', 'PoolExhaustedError', 'TypeError'] as const

/**
 * A log record of OpenTelemetry, one a message: the fields of OTLP's JSON with attributes as a map
 * whose keys have dots (semantic conventions), as collectors write them for search engines.
 */
const appLog: ValueMaker = (moment, quotedType) => {
  const { random, timestamp, incident } = moment
  const [service, version] = random.pick(services)
  const level = random.pick(incident ? inIncident : usual)
  const [method, route] = random.pick(endpoints)
  const nanoseconds = (ms: number) => `${ms}${String(random.below(1_000_000)).padStart(6, '0')}`
  const dirt = random.unit()
  const isError = level === 'ERROR'
  const which = random.below(exceptions.length)
  const user = heavyUser(random)
  const host = `${service}-${1 + random.below(3)}`
  const trace = random.chance(0.7)
    ? {
        traceId: `${hex(random)}${hex(random)}${hex(random)}${hex(random)}`,
        spanId: `${hex(random)}${hex(random)}`,
        flags: 1,
      }
    : {}
  return {
    key: host,
    json: typed(quotedType, {
      timeUnixNano: dirt < 0.001 ? '0' : nanoseconds(timestamp - random.below(300)),
      observedTimeUnixNano: nanoseconds(timestamp),
      ...(dirt > 0.997 ? {} : { severityNumber: levels[level], severityText: level }),
      body: isError ? bodies.ERROR[which] : random.pick(bodies[level]),
      ...trace,
      resource: {
        'service.name': service,
        'service.version': version,
        'host.name': host,
        'deployment.environment.name': 'production',
      },
      scope: { name: `com.example.${service}` },
      attributes: {
        'http.request.method': method,
        'http.route': route,
        'user.id': random.chance(0.3) ? null : user,
        'thread.id': 1 + random.below(32),
        // Two services do not agree: one field is a boolean here and an object there.
        ...(level === 'WARN' && dirt < 0.1
          ? { retry: random.chance(0.5) ? false : { count: 1 + random.below(4) } }
          : {}),
        ...(isError
          ? {
              'exception.type': exceptions[which],
              'exception.message': bodies.ERROR[which],
              'http.response.status_code': random.pick([500, 503, 504]),
            }
          : {}),
      },
    }),
  }
}

/** A line of a web server's access log as JSON. */
const accessLog: ValueMaker = (moment, quotedType) => {
  const { random, timestamp } = moment
  const endpoint = random.pick(endpoints)
  const [method, path] = endpoint
  const user = heavyUser(random)
  const { code, latency, bytes } = outcomeOf(moment, endpoint)
  const ip = clientIp(user)
  const time = new Date(timestamp - (timestamp % 1000)).toISOString().replace('.000Z', '+00:00')
  const dirt = random.unit()
  return {
    key: ip,
    json: typed(quotedType, {
      time: dirt < 0.001 ? '-' : time,
      ip,
      host: 'shop.example.com',
      method,
      path: path.replace('{id}', String(1 + Math.floor(400 ** random.unit()))),
      protocol: random.chance(0.8) ? 'HTTP/2.0' : 'HTTP/1.1',
      status: code,
      bytes,
      // A connection that the client closed has no duration.
      duration_ms: dirt > 0.997 ? null : Number(latency.toFixed(2)),
      referrer: random.chance(0.5) ? '-' : 'https://shop.example.com/',
      user_agent: dirt > 0.99 && dirt < 0.994 ? '-' : random.pick(agents),
      cache: random.pick(['HIT', 'HIT', 'MISS', 'BYPASS']),
    }),
  }
}

export const logs: Kind = {
  summary:
    'Log records of OpenTelemetry with severity and attributes, and lines of an access log with status, bytes and duration.',
  typePath: 'type',
  shapes: [
    { type: 'log.app', share: 0.4, make: appLog },
    { type: 'log.access', share: 0.6, make: accessLog },
  ],
}
