import { testHome } from '../../helpers/home-contract.ts'
import { MemoryHome, MemoryStore } from '../../helpers/memory-home.ts'

testHome('memory', async () => {
  const store = new MemoryStore()
  return {
    another: async () => new MemoryHome(store),
    loseNextAnswer() {
      store.losesNextAnswer = true
    },
  }
})
