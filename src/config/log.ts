import { logLevels } from '../runtime/log.ts'
import { file, group, oneOf } from './options.ts'

export const logGroup = group('Configuration file and log', {
  config: file({
    explanation: 'YAML file with any of these options. Flags and variables win over it.',
  }),
  logLevel: oneOf(logLevels, {
    default: 'info',
    explanation: 'Lowest level of log lines to write.',
  }),
})
