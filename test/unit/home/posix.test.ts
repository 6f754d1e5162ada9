import fsPromises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { homeAt } from '../../helpers/home.ts'
import { testHome } from '../../helpers/home-contract.ts'
import { temporaryDirectory } from '../../helpers/servers.ts'

testHome('a directory', async (t) => {
  const root = join(await temporaryDirectory(t), 'archive')
  return {
    async another() {
      const home = homeAt(root)
      await home.begin()
      return home
    },
    loseNextAnswer: () => loseNextLink(t),
  }
})

/** As NFS does that lost the answer of a link and sends it again: man 2 link, BUGS. */
function loseNextLink(t: TestContext): void {
  const real = fsPromises.link
  const restore = () => {
    fsPromises.link = real
    syncBuiltinESMExports()
  }
  fsPromises.link = async (...args) => {
    restore()
    await real(...args)
    await real(...args)
  }
  syncBuiltinESMExports()
  t.after(restore)
}
