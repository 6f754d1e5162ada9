import { membersGroup } from '../consumer.ts'
import { kafkaConnectionSet } from '../kafka.ts'
import { logGroup } from '../log.ts'
import { because, combine, needed, type ValuesOf } from '../options.ts'

export const leaveSet = combine(
  [kafkaConnectionSet, membersGroup, logGroup],
  [because('which worker is to leave?', needed('groupInstanceId'))],
)

export type LeaveOptions = ValuesOf<typeof leaveSet>
