import { filesOf, Steps } from './steps.ts'

/**
 * `npm run test:soak`: what takes minutes and breaks its servers, which are its own. Besides
 * `npm test`, before a release and in continuous integration.
 */

const steps = new Steps()
await steps.run(
  () => steps.tests('soak tests', filesOf('test/soak/**/*.test.ts'), { concurrency: 1 }),
  async () => {},
)
