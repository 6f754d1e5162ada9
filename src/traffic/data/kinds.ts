import { cdc } from './kinds/cdc.ts'
import { cloudevents } from './kinds/cloudevents.ts'
import type { Kind } from './kinds/kind.ts'
import { logs } from './kinds/logs.ts'
import { mixed } from './kinds/mixed.ts'
import { shop } from './kinds/shop.ts'

/** What the generator can make, by the names of `--kind`. */
export const kinds = { mixed, shop, cdc, cloudevents, logs } as const satisfies Record<string, Kind>

export type KindName = keyof typeof kinds
