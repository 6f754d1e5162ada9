/** Colors with a meaning, close to those of Kibana's own palettes. */
export const colors = {
  good: '#54b399',
  calm: '#6092c0',
  quiet: '#b0b9c6',
  warning: '#d6bf57',
  bad: '#e7664c',
  worst: '#aa3a2b',
} as const
