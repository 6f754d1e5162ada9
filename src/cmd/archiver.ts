#!/usr/bin/env node
import { isBelowTsx, supervise } from './supervise.ts'

// The commands themselves, their options and their help are in commands.ts, loaded only where the work is done.
if (isBelowTsx(process.argv.slice(2), process.execArgv)) await supervise()
else await import('./commands.ts')
