import { writeFile } from 'node:fs/promises'

/** The clock of the workers, as `clock.mjs` shows it to them. */
export class ClockFile {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  /** Workers see the time of the machine plus `ms`. */
  async shift(ms: number): Promise<void> {
    await writeFile(this.path, String(ms))
  }
}
