/** Files of `src` that are longer than others may be, and why. */
export const longFiles: Readonly<Record<string, string>> = {
  'src/kibana/dashboards/operations.ts': 'data: the panels of a dashboard',
  'src/kibana/dashboards/overview.ts': 'data: the panels of a dashboard',
  'src/kibana/lens.ts': 'data: what Kibana keeps of a chart',
}
