import { writeFileSync } from 'node:fs'
import type { ChildUsage } from './child.ts'

/**
 * Loaded into a measured Node process with `--import`: writes what the process used when it ends. Nothing outside tells this
 * exactly of a child: /proc counts in hundredths of a second and is gone with the process.
 */
const path = process.env.BENCH_USAGE_FILE
if (path !== undefined) {
  process.on('exit', () => {
    const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage()
    const usage: ChildUsage = {
      cpuSeconds: (userCPUTime + systemCPUTime) / 1e6,
      peakBytes: maxRSS * 1024,
      loopBusy: performance.eventLoopUtilization().utilization,
    }
    writeFileSync(path, JSON.stringify(usage))
  })
}
