import type { RetryRejectedOptions } from '../config/commands/retry-rejected.ts'
import { elasticsearchConnection } from '../config/elasticsearch.ts'
import { Elasticsearch } from '../elasticsearch/client/client.ts'
import { RejectRetry } from '../elasticsearch/retry/reject-retry.ts'
import { typeOfName } from '../record/type-name.ts'
import { ArchiverError } from '../runtime/errors.ts'
import { count, plural } from '../runtime/format.ts'
import { Proxies } from '../runtime/proxies.ts'
import { readableText } from '../runtime/readable-text.ts'
import { standardError, standardOutput } from '../runtime/standard-streams.ts'
import { createTerminal } from '../runtime/terminal.ts'
import { signalled, unlessStopped } from './lib/program.ts'
import { table } from './lib/table.ts'

/**
 * Sends rejected documents to Elasticsearch again, and removes from the rejected indices what it
 * now accepts.
 * @throws ArchiverError `REJECTED` if some remain
 */
export async function retryRejected(options: RetryRejectedOptions): Promise<void> {
  const signal = signalled()
  const client = new Elasticsearch(elasticsearchConnection(options, new Proxies(process.env))!)
  const terminal = createTerminal(standardError)
  try {
    await unlessStopped(client.detect())
    const rejects = { indexPrefix: options.indexPrefix, bulkBytes: options.bulkBytes, signal }
    const retry = new RejectRetry(client, rejects)
    try {
      await retry.run(
        { types: options.type?.map(typeOfName), reason: options.reason },
        {
          dryRun: options.dryRun,
          onProgress: (seen, total) =>
            terminal.setStatus(`${count(seen)} of ${count(total)} rejects`),
        },
      )
    } finally {
      terminal.setStatus(undefined)
      report(retry, options)
    }
    if (retry.tallies.length === 0 && (options.type ?? options.reason) !== undefined) {
      const all = new RejectRetry(client, rejects)
      await all.run({}, { dryRun: true })
      const there = all.tallies.map(
        ({ type, reason, rejects }) => `${type} (${count(rejects)}, ${reason})`,
      )
      const line =
        there.length === 0
          ? 'there are no rejects'
          : `there are rejects of ${there.slice(0, 10).join(', ')}`
      standardError.write(`archiver: ${readableText(line)}\n`)
    }
    const stay = retry.tallies.reduce((sum, tally) => sum + tally.stay, 0)
    if (stay > 0)
      throw new ArchiverError('REJECTED', `${plural(stay, 'reject')} left; the reasons are above`)
  } finally {
    terminal.close()
    await client.close()
  }
}

function report({ tallies }: RejectRetry, { dryRun, json }: RetryRejectedOptions): void {
  const print = (line: string) => standardOutput.print(line)
  if (json) {
    for (const { type, reason, rejects, stored, present, stay, why } of tallies) {
      print(
        JSON.stringify(
          dryRun
            ? { type, reason, rejects }
            : { type, reason, rejects, stored, present, stay, why },
        ),
      )
    }
    return
  }
  if (tallies.length === 0) {
    print('no such rejects')
    return
  }
  const columns = [
    { head: 'type', min: 16 },
    { head: 'rejects', right: true },
  ]
  const results = dryRun
    ? []
    : ['stored', 'already there', 'left'].map((head) => ({ head, right: true }))
  print(
    table(
      [...columns, ...results, { head: 'reason', wraps: true }],
      tallies.map(({ type, reason, rejects, stored, present, stay }) => [
        type,
        count(rejects),
        ...(dryRun ? [] : [count(stored), count(present), count(stay)]),
        reason,
      ]),
      standardOutput.columns,
    ),
  )
  for (const { type, stay, why } of tallies)
    if (stay > 0) print(`${type}: ${plural(stay, 'document')} left: ${why}`)
}
