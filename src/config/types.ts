import { parseTypePath, type TypeSource } from '../record/type-source.ts'
import { flag, group, oneOf, perTopic, text, usage, type ValuesOf } from './options.ts'

export const typesGroup = group('Types of messages', {
  typeFrom: perTopic(
    oneOf(['value', 'header', 'topic'], {
      default: 'value',
      explanation:
        'What gives the type of a message: a field of its JSON value, a header, or the name of its topic.',
    }),
  ),
  typePath: perTopic(
    text({
      default: 'type',
      explanation:
        'Path of the type in the value: keys separated by dots (write a dot inside a key as \\.).',
    }),
  ),
  typeHeader: perTopic(
    text({ default: 'type', explanation: 'Name of the header that holds the type.' }),
  ),
  framedJson: perTopic(
    flag({
      default: true,
      explanation:
        'Archive the JSON after a Schema Registry frame (a zero byte, four bytes of schema id) as the value, and the id as kafka.schema_id.',
      whenOff: 'such a message is malformed',
    }),
  ),
})

/** What gives the type of a message. @throws ArchiverError `USAGE` */
export function typeSource(
  values: Pick<ValuesOf<typeof typesGroup>, 'typeFrom' | 'typePath' | 'typeHeader'>,
): TypeSource {
  switch (values.typeFrom) {
    case 'topic':
      return { from: 'topic' }
    case 'header':
      return { from: 'header', header: values.typeHeader }
    case 'value':
      try {
        return { from: 'value', path: parseTypePath(values.typePath) }
      } catch (error) {
        throw usage(
          `--type-path: "${values.typePath}" is not allowed; expected ${(error as Error).message}`,
        )
      }
  }
}
