#!/usr/bin/env node
// `archiver`: what `npm run build` compiled in the package, the source in a checkout.
import { existsSync } from 'node:fs'
import module from 'node:module'
import { fileURLToPath } from 'node:url'

// Starts in half the processor time. Never in the temporary directory, Node's default: other users
// may write there. If this user may not write to the package, nothing is kept.
module.enableCompileCache?.(fileURLToPath(new URL('../node_modules/.cache/node', import.meta.url)))

const source = new URL('../src/cmd/archiver.ts', import.meta.url)
if (existsSync(source)) {
  // Node 22.18 and newer strip the types by themselves.
  if (!process.features.typescript) (await import('tsx/esm/api')).register()
  await import(source.href)
} else {
  await import('../dist/cmd/archiver.js')
}
