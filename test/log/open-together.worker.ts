/** Opens fresh log files at the same moments as its twins; posts what was refused. */
import { parentPort, workerData } from 'node:worker_threads'
import { createSqliteLog } from '../../src/log/sqlite-log.ts'

const { files, twins, arrived } = workerData as { files: string[]; twins: number; arrived: Int32Array }
const refusals: string[] = []
for (const [round, file] of files.entries()) {
  const earlier = Atomics.add(arrived, round, 1)
  Atomics.notify(arrived, round)
  for (let here = earlier + 1; here < twins; here = Atomics.load(arrived, round)) Atomics.wait(arrived, round, here)
  try {
    await createSqliteLog({ file }).close()
  } catch (error) {
    refusals.push((error as Error).message)
  }
}
parentPort!.postMessage(refusals)
