import { writeFileSync } from 'node:fs'
import type { ChildUsage } from './child.ts'
import { peakMemory } from './proc.ts'

/**
 * Loaded into a measured Node process with `--import`: writes what the process used when it ends.
 * Nothing outside tells this exactly of a child: /proc counts in hundredths of a second and is gone
 * with the process.
 */
const path = process.env.BENCH_USAGE_FILE
if (path !== undefined) {
  process.on('exit', () => {
    const { userCPUTime, systemCPUTime } = process.resourceUsage()
    const usage: ChildUsage = {
      cpuSeconds: (userCPUTime + systemCPUTime) / 1e6,
      // Not `maxRSS`: at an exec Linux carries over that of the parent, whose memory a spawned
      // child has for a moment.
      peakBytes: peakMemory(process.pid) ?? 0,
      loopBusy: performance.eventLoopUtilization().utilization,
    }
    writeFileSync(path, JSON.stringify(usage))
  })
}
