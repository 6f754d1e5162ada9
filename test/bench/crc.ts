import { loadNativeCrc32c } from '../../src/kafka/batch/crc32c.ts'
import { plainCrc32c } from '../../src/kafka/batch/crc32c-plain.ts'

/**
 * What checking the CRC-32C of record batches costs: `tsx test/bench/crc.ts`. One thread, the
 * better of five rounds.
 */
const total = 256 * 2 ** 20
const ways = { 'in JavaScript': plainCrc32c, native: loadNativeCrc32c() ?? plainCrc32c }

for (const [way, crc32c] of Object.entries(ways)) {
  for (const size of [1_000, 16_000, 1_000_000]) {
    const bytes = Buffer.alloc(size)
    for (let i = 0; i < size; i++) bytes[i] = (i * 2_654_435_761) >>> 24
    const times = Math.round(total / size)
    let fastest = Number.POSITIVE_INFINITY
    for (let round = 0; round < 5; round++) {
      const start = performance.now()
      for (let i = 0; i < times; i++) crc32c(bytes, 0, size)
      fastest = Math.min(fastest, performance.now() - start)
    }
    const perSecond = (size * times) / (fastest / 1000)
    const perRecord = (300 / perSecond) * 1e6
    process.stdout.write(
      `${way}, batches of ${size} bytes: ${Math.round(perSecond / 1e6)} MB/s, ${perRecord.toFixed(3)} µs for a record of 300 bytes\n`,
    )
  }
}
