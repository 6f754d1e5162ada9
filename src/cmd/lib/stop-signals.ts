import { setTimeout as delay } from 'node:timers/promises'
import { isHangupIgnored } from './hangup.ts'
import { watchWrappers } from './wrappers.ts'

/** The signals that stop a command after it finished what it was doing, with their numbers. */
export const stopSignals = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGTERM: 15 } as const
export type StopSignal = keyof typeof stopSignals

/** The reason to stop if whoever started the command is gone. It counts as SIGTERM. */
export const starterGone = 'whoever started this process is gone'
export type StopReason = StopSignal | typeof starterGone

export function isStopReason(reason: unknown): reason is StopReason {
  return reason === starterGone || Object.hasOwn(stopSignals, String(reason))
}

/** 128 plus the number of the signal, as a shell says it. */
export function exitCodeOfStop(reason: StopReason): number {
  return 128 + stopSignals[reason === starterGone ? 'SIGTERM' : reason]
}

let ignoresHangup: boolean | undefined
let hungUpAt = Number.NEGATIVE_INFINITY

/**
 * SIGHUP does nothing if it was ignored at the start. SIGUSR1 and SIGUSR2 never do anything: the
 * first would open Node's debugger, the second would end the process.
 */
export function passOverSignals(): { readonly ignoresHangup: boolean } {
  if (ignoresHangup === undefined) {
    ignoresHangup = isHangupIgnored()
    process.on('SIGHUP', () => {
      hungUpAt = performance.now()
      // Without a listener of a command that has something to finish, it ends as by default.
      if (!ignoresHangup && process.listenerCount('SIGHUP') === 1)
        process.exit(exitCodeOfStop('SIGHUP'))
    })
    for (const name of ['SIGUSR1', 'SIGUSR2'] as const) process.on(name, () => undefined)
  }
  return { ignoresHangup }
}

/** Calls back for every signal to stop. From now on none of them ends the process. */
export function onStopSignal(onStop: (name: StopSignal) => void): void {
  const { ignoresHangup } = passOverSignals()
  for (const name of Object.keys(stopSignals) as StopSignal[]) {
    if (name !== 'SIGHUP' || !ignoresHangup) process.on(name, () => onStop(name))
  }
}

/** A terminal that goes reaches this process and its wrappers, in any order, within this time. */
const hangupMs = 1500

/**
 * Calls back when whoever started this process is gone: a wrapper, or the process that supervises
 * it. Below nohup it is not that if they ended because their terminal went: Node sets SIGHUP back
 * in them too.
 */
export function onStarterGone(listener: () => void): void {
  const { ignoresHangup } = passOverSignals()
  const onGone = async () => {
    if (ignoresHangup) {
      await delay(hangupMs)
      if (performance.now() - hungUpAt < 3 * hangupMs) return
    }
    listener()
  }
  watchWrappers(() => void onGone())
  process.on('disconnect', () => void onGone())
  // The channel closed before this process listened. Without one at all, this is undefined.
  if (process.connected === false) void onGone()
  process.channel?.unref()
}
