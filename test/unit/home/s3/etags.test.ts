import assert from 'node:assert/strict'
import { test } from 'node:test'
import { combinedEtag, comparableEtag } from '../../../../src/home/s3/etags.ts'

test('an object of parts has the MD5 of their MD5s, if they are MD5s', () => {
  // md5 of the bytes of both MD5s, by md5sum.
  const parts = ['"d41d8cd98f00b204e9800998ecf8427e"', '0cc175b9c0f1b6a831c399e269772661']
  assert.equal(combinedEtag(parts), '68083ea43d0307eecfa2b4749f19df15-2')
  assert.equal(combinedEtag([parts[0]!, 'an ETag of KMS']), undefined)
  assert.equal(
    comparableEtag('"0cc175b9c0f1b6a831c399e269772661-2"'),
    '0cc175b9c0f1b6a831c399e269772661-2',
  )
  assert.equal(
    comparableEtag('"0cc175b9c0f1b6a831c399e269772661"'),
    '0cc175b9c0f1b6a831c399e269772661',
  )
  assert.equal(comparableEtag('"an ETag of KMS"'), undefined)
  assert.equal(comparableEtag(''), undefined)
})
