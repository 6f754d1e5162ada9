import { durationIn } from '../../data-views.ts'
import type { FieldFormat } from '../../saved-object.ts'
import type { NumberField } from './described.ts'
import { durationUnit, type Role } from './roles.ts'

/** How Kibana writes the numbers of a field, in the data view and in the columns of panels. */
export function formatOf(field: NumberField, role: Role): FieldFormat {
  switch (role) {
    case 'money':
      return { id: 'number', params: { pattern: '0,0.00', decimals: 2 } }
    case 'duration':
      return durationIn(durationUnit(field) ?? 'milliseconds')
    case 'bytes':
      return { id: 'bytes', params: { pattern: '0,0.[0] b', decimals: 1 } }
    case 'share':
      return { id: 'percent', params: { pattern: '0.[0]%', decimals: 1 } }
    case 'code':
    case 'identifier':
    case 'epoch':
      // Codes and identifiers are names, not quantities: no separators in them.
      return { id: 'number', params: { pattern: '0' } }
    default:
      return { id: 'number', params: { decimals: decimalsOf(field) } }
  }
}

/** The decimals that distinguish values of the field. */
function decimalsOf({ isWhole, low, high }: NumberField): number {
  const range = high - low
  return isWhole || range >= 1000 ? 0 : range >= 10 ? 1 : range >= 0.1 ? 3 : 6
}
