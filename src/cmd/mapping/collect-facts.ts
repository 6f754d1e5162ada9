import { readHours } from '../../files/read/lines.ts'
import { hoursOf, type Selection } from '../../files/read/selection.ts'
import type { ReadableHome } from '../../home/home.ts'
import { FactsCollector, type TypeFacts } from '../../mapping/facts.ts'

const progressEvery = 5000

/**
 * The facts of the selected records, read as a stream. With a sample, about that many, the first of
 * each hour; if there are more hours than records, hours between the first and the last.
 * @throws the signal's reason
 */
export async function collectFacts(
  home: ReadableHome,
  selection: Selection,
  {
    sample,
    signal,
    progress,
  }: {
    readonly sample: number | undefined
    readonly signal: AbortSignal
    readonly progress: (records: number) => void
  },
): Promise<TypeFacts> {
  const collector = new FactsCollector()
  const all = await hoursOf(home, selection)
  const hours = sample === undefined ? all : spread(all, sample)
  const each = sample === undefined ? undefined : Math.ceil(sample / Math.max(1, hours.length))
  for (const hour of hours) {
    for await (const { block, start, end } of readHours(home, [hour], selection, {
      order: 'oldest',
      limit: each,
    })) {
      collector.addLine(block.subarray(start, end))
      if (collector.records % progressEvery === 0) {
        signal.throwIfAborted()
        progress(collector.records)
      }
    }
    signal.throwIfAborted()
  }
  return collector.facts()
}

/** At most `max` elements, evenly from the first to the last. */
function spread<T>(all: readonly T[], max: number): readonly T[] {
  if (all.length <= max) return all
  return Array.from(
    { length: max },
    (_, i) => all[Math.round((i * (all.length - 1)) / Math.max(1, max - 1))]!,
  )
}
