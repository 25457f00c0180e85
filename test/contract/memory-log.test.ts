import { createMemoryLog, createMemoryStorage, deleteBelow } from '../../src/log/memory-log.ts'
import { describeLogContract } from './event-log.contract.ts'

describeLogContract('memory', async () => {
  const storage = createMemoryStorage()
  return {
    open: async () => createMemoryLog({ storage }),
    async openCrashable() {
      const log = createMemoryLog({ storage })
      return { log, crash: async () => log.crash() }
    },
    async beginOutage() {
      storage.isAway = true
      return async () => {
        storage.isAway = false
      }
    },
    deleteBelow: async (at, offset) => deleteBelow(storage, at, offset),
    close: async () => {},
  }
})
