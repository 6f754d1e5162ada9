import { group, integer, list, pattern } from './options.ts'

export const topicsGroup = group('Topics', {
  topics: list({ placeholder: '<a,b,…>', explanation: 'Topics to archive, by name.' }),
  topicsRegex: pattern({
    explanation:
      'Archive every topic whose name matches this JavaScript regular expression, including topics created later. It matches anywhere in a name: orders also matches orders-restored, ^orders$ does not.',
  }),
  topicsRefresh: integer({
    default: '30',
    min: 1,
    unit: 's',
    explanation: 'Interval between checks for new topics.',
  }),
})
