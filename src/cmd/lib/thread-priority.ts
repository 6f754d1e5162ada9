import { readdir, readFile } from 'node:fs/promises'
import { setPriority } from 'node:os'
import { messageOf } from '../../runtime/errors.ts'
import type { Logger } from '../../runtime/log.ts'

/** As libuv names them; older ones have the name of the process, and keep their priority. */
const poolThread = 'libuv-worker'
/** Of 19; see setpriority(2), which on Linux takes a thread as well. */
const niceness = 10

/**
 * Lets the event loop go before the threads that compress: it is what everything waits for, and on
 * few cores four threads that all have a member to compress take its core away. With two cores a
 * run into files takes 8 % less time. Only Linux has such priorities.
 */
export async function letEventLoopGoFirst(log: Logger): Promise<void> {
  if (process.platform !== 'linux') return
  try {
    // Reading files has started these threads.
    for (const thread of await readdir('/proc/self/task')) {
      const name = await readFile(`/proc/self/task/${thread}/comm`, 'utf8')
      if (name.trimEnd() === poolThread) setPriority(Number(thread), niceness)
    }
  } catch (error) {
    log.debug(`threads keep their priority: ${messageOf(error)}`)
  }
}
