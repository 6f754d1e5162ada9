import { writeFileSync } from 'node:fs'
import { ndjson } from '../src/kibana/saved-object.ts'
import { shippedObjects } from '../src/kibana/shipped.ts'

/**
 * `npx tsx kibana/build.ts`: writes the file for an import by hand, of the objects that
 * `setup --kibana` imports.
 */
writeFileSync(new URL('archiver.ndjson', import.meta.url), ndjson(shippedObjects('archive-')))
