/** What the command `dead-letters` says when the log refuses in the middle. */
import { expect, test } from 'vitest'
import { isMark, parseLetter } from '../src/actors/dead-letters.ts'
import { parseConfig } from '../src/config.ts'
import { runDeadLetters } from '../src/dead-letters-command.ts'
import { createFaultyLog } from './support/faulty-log.ts'
import { openMemoryShop, orderRecord, toppedRecord, until } from './support/memory-shop.ts'

test('A redrive that the log refuses in the middle says what was not done, and is repeated by the same words (P6)', async () => {
  const shop = await openMemoryShop()
  const host = await shop.startHost()
  await shop.append(toppedRecord(shop.topics, 'cheese', { order_id: '7', pizza_id: 1, choice: 'some' }))
  await until(() => shop.records(shop.topics.deadLetters).length === 1)
  await shop.append(orderRecord(shop.topics, '7', 1))
  await until(() => host.host.cache.peek('7') !== undefined)
  const argv = ['dead-letters', 'redrive', '--all', '--yes', '--data', shop.dir]
  const parsed = parseConfig({ argv, env: {}, readFile: () => '', version: '' })
  if (parsed.kind !== 'dead-letters') throw new Error('Expected the command')
  const { config } = parsed
  const faulty = createFaultyLog()
  const run = async () => {
    const lines: string[] = []
    const print = (line: string) => void lines.push(line)
    const isDone = await runDeadLetters(config, faulty.wrap(shop.log), config.deadLetters!, { print, complain: print })
    return { isDone, text: lines.join('\n') }
  }
  faulty.faults.push('refused')
  const first = await run()
  expect(first.isDone).toBe(false)
  expect(first.text).toMatch(
    /failed: The test says: refused\n\n0 redriven, 0 refused, 1 failed; run the same command again\.$/,
  )
  const second = await run()
  expect(second.isDone).toBe(true)
  expect(second.text).toMatch(/redriven to pizza-with-cheese\/\d\/\d+: pizza 1 of order 7 gets its cheese: some/)
  expect(await run()).toMatchObject({ isDone: true, text: expect.stringMatching(/^Nothing to redrive/) })
  expect(shop.records(shop.topics.deadLetters).map(parseLetter).filter(isMark)).toHaveLength(1)
})
