#!/usr/bin/env node
import { standardError } from '../runtime/standard-streams.ts'
import { isBelowTsx, supervise } from './lib/supervise.ts'

const oldestNode = 22

// Loaded only in the process that does the work: commands.ts has the commands, their options and
// their help.
if (Number(process.versions.node.split('.')[0]) < oldestNode) {
  standardError.write(
    `archiver: this is Node ${process.version}; ${oldestNode} or newer is needed\n`,
  )
  process.exitCode = 1
} else if (isBelowTsx(process.argv.slice(2), process.execArgv)) await supervise()
else await import('./lib/commands.ts')
