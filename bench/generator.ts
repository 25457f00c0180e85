/** Generator. The load generator as the benchmark sees it: a child process that takes one task at a time. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Message, Results, Task } from './tasks.ts'

export interface Generator {
  /** Rejects with what went wrong in the generator or in the shop's answers. `onProgress` hears the orders that are ready. */
  perform<Kind extends Task['kind']>(
    task: Extract<Task, { kind: Kind }>,
    onProgress?: (orders: number) => void,
  ): Promise<Results[Kind]>
  stop(): Promise<void>
}

/** Starts the process. Its ledger begins empty: one generator for each shop that is measured. */
export function startGenerator(): Generator {
  const child = fork(fileURLToPath(new URL('load.ts', import.meta.url)), { execArgv: [] })
  const exited = once(child, 'exit')
  return {
    perform<Kind extends Task['kind']>(task: Extract<Task, { kind: Kind }>, onProgress?: (orders: number) => void) {
      return new Promise<Results[Kind]>((resolve, reject) => {
        const onExit = () => settle(() => reject(new Error('The load generator ended by itself')))
        const onMessage = (message: Message): void => {
          if (message.kind === 'progress') onProgress?.(message.orders)
          else if (message.kind === 'failed') settle(() => reject(new Error(message.message)))
          else settle(() => resolve(message.result as Results[Kind]))
        }
        const settle = (then: () => void): void => {
          child.off('message', onMessage).off('exit', onExit)
          then()
        }
        child.on('message', onMessage).once('exit', onExit)
        child.send(task)
      })
    },
    async stop() {
      if (child.connected) child.disconnect()
      await exited
    },
  }
}
