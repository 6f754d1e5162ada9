import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Crc32c, loadNativeCrc32c } from '../../../../src/kafka/batch/crc32c.ts'
import { plainCrc32c } from '../../../../src/kafka/batch/crc32c-plain.ts'

const theirs = createRequire(import.meta.url)('kafkajs/src/protocol/recordBatch/crc32C') as (
  bytes: Uint8Array,
) => number

const native = loadNativeCrc32c()
assert.ok(native !== undefined, 'the native module is for every platform that is tested on')
const ways: Readonly<Record<string, Crc32c>> = { native, 'in JavaScript': plainCrc32c }

for (const [way, crc32c] of Object.entries(ways)) {
  test(`${way}: the check value of the standard`, () => {
    assert.equal(crc32c(Buffer.from('123456789'), 0, 9) >>> 0, 0xe3069283)
  })

  test(`${way}: agrees with kafkajs on any part of any bytes`, () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 3000, size: 'max' }),
        fc.nat(),
        fc.nat(),
        (bytes, a, b) => {
          const [from, to] = [a % (bytes.length + 1), b % (bytes.length + 1)].sort(
            (x, y) => x - y,
          ) as [number, number]
          assert.equal(crc32c(bytes, from, to), theirs(bytes.subarray(from, to)) | 0)
        },
      ),
    )
  })
}
