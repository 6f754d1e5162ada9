// Preloaded into workers: adds to the clock what the file of CHAOS_CLOCK says, in ms, as an
// operator or NTP does who sets the clock of a machine. Plain JavaScript, as it runs before tsx.
import { readFileSync } from 'node:fs'

const file = process.env.CHAOS_CLOCK
if (file !== undefined) {
  const RealDate = Date
  let offset = 0
  const read = () => {
    offset = Number(readFileSync(file, 'utf8')) || 0
  }
  read()
  setInterval(read, 200).unref()
  class ShiftedDate extends RealDate {
    constructor(...given) {
      if (given.length === 0) super(RealDate.now() + offset)
      else super(...given)
    }

    static now() {
      return RealDate.now() + offset
    }
  }
  globalThis.Date = ShiftedDate
}
