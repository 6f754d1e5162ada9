import { writeFileSync } from 'node:fs'
import { configurationReference } from './reference.ts'

/** `npm run docs`: writes what in `docs/` follows from the source. */
writeFileSync(new URL('configuration.md', import.meta.url), configurationReference())
