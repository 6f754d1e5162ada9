// Says in one line that this Node is too old for a program that runs from its source, and starts
// processes that do. For `node --import`, and as the first import for those who use tsx.
import { basename } from 'node:path'

if (!process.features.typescript) {
  const program = basename(process.argv[1] ?? 'node', '.ts')
  process.stderr.write(
    `${program}: this is Node ${process.version}; 22.18 or newer is needed (npm ci brings it: npm run ${program})\n`,
  )
  process.exit(1)
}
