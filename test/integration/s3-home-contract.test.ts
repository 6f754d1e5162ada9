import type { TestContext } from 'node:test'
import { FaultyStore } from '../helpers/faulty-store.ts'
import { testHome } from '../helpers/home-contract.ts'
import {
  bucketSettings,
  openS3Home,
  s3Title,
  s3Url,
  startVersitygw,
} from '../helpers/object-stores.ts'
import { versitygwProgram } from '../helpers/versitygw.ts'

/** The promises of a home, in buckets of real stores. */

async function place(t: TestContext, url: string) {
  const store = await FaultyStore.start(url)
  t.after(() => store[Symbol.asyncDispose]())
  const settings = bucketSettings(store.url)
  return {
    another: async () => {
      const home = await openS3Home(t, settings)
      await home.begin()
      return home
    },
    loseNextAnswer: () => store.next('PutObject', { kind: 'lost-answer' }),
  }
}

testHome(`a bucket of ${s3Title}`, (t) => place(t, s3Url))
// Without Go there is no versitygw, and S3Proxy has to do.
if (versitygwProgram() !== undefined)
  testHome('a bucket of versitygw', async (t) => place(t, (await startVersitygw(t))!))
