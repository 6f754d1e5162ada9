import type { StoreAccount } from './account.ts'
import { type ChaosAccount, isProven } from './run.ts'

/** The account of a run, for people. */
export function describeAccount(account: ChaosAccount): string {
  const { chains } = account
  const actions = Object.entries(account.faultsByAction).map(
    ([action, times]) => `${action} ${times}`,
  )
  const lines = [
    `seed            ${account.seed}`,
    `records         ${account.records}`,
    `faults          ${account.faults}: ${actions.join(', ')}`,
    `workers         ${account.workersStarted} started, ${account.diedAtFaultPoints} died at a fault point, ${account.failedStarts} could not begin, ${account.survivedWithoutLog} worked without a log`,
    `bulk requests   ${account.brokenBulkRequests} broken by the proxy; ${account.refusedRequests} requests reset for one document`,
    `drained in      ${account.drainedSeconds.toFixed(1)} s; a committed offset went backwards for ${account.longestRegressionSeconds.toFixed(1)} s at most`,
    describeStore('files', account.files),
    describeStore('elasticsearch', account.elasticsearch),
    ...(account.mysql === undefined ? [] : [describeStore('mysql', account.mysql)]),
    ...(account.listings === undefined
      ? []
      : [`reader          listed the files ${account.listings} times`]),
    `manifests       ${chains.manifests} (${chains.compacted} compacted) with ${chains.files} files, ${chains.lost} offsets lost, ${chains.oversized} oversized, ${chains.problems.length} problems, ${chains.staged} files left in staging`,
    ...[
      ...chains.problems.slice(0, 20),
      ...account.problems.slice(0, 20),
      ...account.files.examples,
      ...account.elasticsearch.examples,
      ...(account.mysql?.examples ?? []),
    ].map((line) => `  ${line}`),
    isProven(account) ? 'nothing missing, duplicate or changed' : 'NOT AS PROMISED',
  ]
  return `${lines.join('\n')}\n`
}

function describeStore(name: string, account: StoreAccount): string {
  const { records, missing, duplicate, changed, unexpected, compacted } = account
  const rest = compacted === 0 ? '' : `, ${compacted} that Kafka has compacted since`
  return `${name.padEnd(15)} ${records} records, missing ${missing}, duplicate ${duplicate}, changed ${changed}, unexpected ${unexpected}${rest}`
}
