import { dryRun, json } from '../archive.ts'
import { bulkGroup } from '../bulk.ts'
import { elasticsearchGroup } from '../elasticsearch.ts'
import { logGroup } from '../log.ts'
import { because, combine, needed, own, pick, text, texts, type ValuesOf } from '../options.ts'

export const retryRejectedSet = combine(
  [
    elasticsearchGroup,
    own({
      type: texts({ explanation: 'Only rejects of these types of messages.' }),
      reason: text({
        explanation:
          'Only rejects with this reason: an error type, e.g. document_parsing_exception, or words of the reason.',
      }),
      dryRun,
      json: json(' a type and reason'),
    }),
    pick(bulkGroup, 'bulkBytes'),
    logGroup,
  ],
  [because('where are the rejects?', needed('elasticsearch'))],
)

export type RetryRejectedOptions = ValuesOf<typeof retryRejectedSet>
