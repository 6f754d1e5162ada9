import { count } from '../runtime/format.ts'

/** Parts of sentences about counts. `12 of 1,000 (1.2 %)`, `all 1,000`. */
export function shareOf(part: number, whole: number): string {
  if (part === whole) return `all ${count(whole)}`
  return `${count(part)} of ${count(whole)} (${percent((part / whole) * 100)})`
}

/** `below 0.01 %`, `0.35 %`, `3.5 %`, `35 %`; never 100 % of less than all. */
export function percent(share: number): string {
  if (share > 0 && share < 0.01) return 'below 0.01 %'
  if (share < 1) return `${share.toFixed(share === 0 ? 0 : 2)} %`
  return `${share < 10 ? share.toFixed(1) : Math.floor(share)} %`
}
