import { count, top, xy } from '../../lens.ts'
import { exactly } from './find.ts'
import { overTime } from './generic.ts'
import { label } from './names.ts'
import { familyView, type Opening, topOf, type View } from './view.ts'

/** CloudEvents: the attributes that the specification requires. */
export function events(view: View): Opening | undefined {
  const source = exactly(view, 'source')
  if (exactly(view, 'specversion') === undefined || source === undefined) return undefined
  const { family = [] } = view.described
  const rows = [overTime(view, source, family.length < 2 ? 48 : 26)]
  if (family.length < 2) return { controls: [source], shown: [source], numbers: [], rows }
  const { height, panels } = rows[0]!
  return {
    controls: [source],
    shown: [source],
    numbers: [],
    rows: [
      {
        height,
        panels: [
          ...panels,
          {
            id: 'family',
            title: `Events of all types, by ${label(source)}`,
            width: 22,
            chart: xy({
              ...familyView(view).source,
              columns: {
                type: top('type', 'Type', { by: 'n', size: Math.min(12, family.length) }),
                source: topOf(source, { by: 'n', size: 12, other: true }),
                n: count('Events'),
              },
              as: 'bar_horizontal_stacked',
              x: 'type',
              y: ['n'],
              split: 'source',
              wideLegend: true,
            }),
          },
        ],
      },
    ],
  }
}
