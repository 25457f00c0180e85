import { describe, expect, it } from 'vitest'
import type { ReportStore } from '../../src/actors/report-store.ts'
import { createReportStore } from '../../src/actors/report-store.ts'
import { verify } from '../../src/actors/verify.ts'
import { openMemoryShop, toppedRecord, until, type MemoryShop, type RunningReporter } from '../support/memory-shop.ts'

const topic = 'pizza-with-cheese'

function append(shop: MemoryShop, ...pizzas: [order_id: string, pizza_id: number | undefined, choice: string][]) {
  return shop.append(
    ...pizzas.map(([order_id, pizza_id, choice]) =>
      toppedRecord(shop.topics, 'cheese', { order_id, pizza_id, choice }),
    ),
  )
}

/** Resolves when the report on disk has come to the end of the topic. */
async function written(shop: MemoryShop, { store }: RunningReporter): Promise<void> {
  const at = () => [...(store.positions().get(topic)?.values() ?? [])].reduce((sum, position) => sum + position, 0)
  await until(() => at() === shop.records(topic).length)
}

async function verifyReport({ log, recipe, topics, reportFile }: MemoryShop) {
  const reportStore = createReportStore(reportFile, { readOnly: true })
  try {
    return (await verify({ log, recipe, topics, reportStore })).differences
  } finally {
    reportStore.close()
  }
}

describe('The cheese report', () => {
  it('counts each pizza by its cheese', async () => {
    const shop = await openMemoryShop()
    const reporter = await shop.startReporter()
    expect(reporter.report.counts()).toEqual({})
    await append(shop, ['1', 1, 'none'], ['1', 2, 'goat cheese'], ['2', 1, 'none'], ['3', 9_999, 'extra'])
    await written(shop, reporter)
    expect(reporter.report.counts()).toEqual({ extra: 1, 'goat cheese': 1, none: 2 })
    expect(await verifyReport(shop)).toEqual([])
  })

  it('counts a pizza once by its first record, however often it comes and whatever it says then (P7, N1)', async () => {
    const shop = await openMemoryShop()
    const reporter = await shop.startReporter()
    await append(shop, ['1', 1, 'none'], ['1', 1, 'none'], ['1', 1, 'extra'], ['1', 2, 'extra'])
    await written(shop, reporter)
    await append(shop, ['1', 2, 'none'], ['1', 1, 'goat cheese'])
    await written(shop, reporter)
    expect(reporter.report.counts()).toEqual({ none: 1, extra: 1 })
    expect(await verifyReport(shop)).toEqual([])
  })

  it('counts records without pizza id once for each place in the log (N1)', async () => {
    const shop = await openMemoryShop()
    const reporter = await shop.startReporter()
    await append(shop, ['1', undefined, 'none'], ['1', undefined, 'none'])
    await written(shop, reporter)
    reporter.crash()
    const again = await shop.startReporter()
    await append(shop, ['1', undefined, 'extra'])
    await written(shop, again)
    expect(again.report.counts()).toEqual({ none: 2, extra: 1 })
  })

  it('is there at once after a restart, also after a stop (N2)', async () => {
    const shop = await openMemoryShop()
    const first = await shop.startReporter({ checkpointMs: 1_000_000 })
    await append(shop, ['1', 1, 'none'])
    await until(() => first.report.counts()['none'] === 1)
    await first.stop()
    expect((await shop.startReporter()).report.counts()).toEqual({ none: 1 })
  })

  it('is right wherever a crash falls, when pizzas come again after it (P7, N2)', async () => {
    const pizzas = Array.from({ length: 12 }, (_, n): [string, number, string] => [
      `${n % 3}`,
      n + 1,
      ['none', 'extra'][n % 2]!,
    ])
    for (let crashAt = 1; crashAt <= 4; crashAt++) {
      for (const isWritten of [true, false]) {
        const shop = await openMemoryShop({ partitions: 2 })
        let checkpoints = 0
        const first: RunningReporter = await shop.startReporter({
          wrapStore: (store: ReportStore) => ({
            ...store,
            checkpoint(changed) {
              if (checkpoints++ === crashAt - 1) {
                if (isWritten) store.checkpoint(changed)
                first.crash()
                return
              }
              store.checkpoint(changed)
            },
          }),
        })
        for (let n = 0; n < 12 && checkpoints < crashAt; n += 3) {
          await append(shop, ...pizzas.slice(n, n + 3))
          await until(() => checkpoints > n / 3)
        }
        const second = await shop.startReporter()
        await append(shop, ...pizzas, ...pizzas.map(([a, b]): [string, number, string] => [a, b, 'goat cheese']))
        await written(shop, second)
        expect(second.report.counts()).toEqual({ none: 6, extra: 6 })
        expect(await verifyReport(shop)).toEqual([])
      }
    }
  })

  it('goes on while its disk is full, says so, and writes everything when there is room', async () => {
    const shop = await openMemoryShop()
    const disk = { isFull: true, refused: 0 }
    const reporter = await shop.startReporter({
      wrapStore: (store) => ({
        ...store,
        checkpoint(changed) {
          if (!disk.isFull) return store.checkpoint(changed)
          disk.refused++
          throw new Error('database or disk is full')
        },
      }),
    })
    await append(shop, ['1', 1, 'none'])
    await until(() => disk.refused > 0)
    await append(shop, ['1', 2, 'none'])
    await until(() => reporter.report.counts()['none'] === 2)
    expect(reporter.report.readiness()).toEqual({
      ready: false,
      reasons: ['The cheese reporter cannot write its store'],
    })
    disk.isFull = false
    await written(shop, reporter)
    expect(reporter.report.readiness()).toEqual({ ready: true, reasons: [] })
    expect(await verifyReport(shop)).toEqual([])
    reporter.crash()
    expect((await shop.startReporter()).report.counts()).toEqual({ none: 2 })
  })

  it('sends bad records to the dead letters and counts the rest (P6)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const reporter = await shop.startReporter()
    await shop.append({ topic, key: '1', value: 'no JSON' }, { topic, key: '1', value: null })
    await append(shop, ['1', 0, 'none'], ['1', 1, ''], ['1', 1, 'none'])
    await written(shop, reporter)
    expect(reporter.report.counts()).toEqual({ none: 1 })
    const letters = shop.records('dead-letters').map(({ headers }) => headers!)
    expect(letters.map(({ role, reason, offset }) => [role, reason, offset])).toEqual([
      ['cheese-reporter', 'not-json', '0'],
      ['cheese-reporter', 'invalid-record', '1'],
      ['cheese-reporter', 'invalid-record', '2'],
      ['cheese-reporter', 'invalid-record', '3'],
    ])
    expect(await verifyReport(shop)).toEqual([])
  })

  it('writes no position past a record whose dead letter is not durable (N2, P6)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const first = await shop.startReporter()
    await append(shop, ['1', 1, 'none'])
    await written(shop, first)
    await append(shop, ['1', 2, 'none'])
    await shop.append({ topic, key: '1', value: 'no JSON' })
    shop.storage.isAway = true
    await until(() => shop.logged.some(({ msg }) => msg.startsWith('Cannot append dead letters')))
    await first.report.stop(AbortSignal.abort())
    first.crash()
    shop.storage.isAway = false
    expect(shop.records('dead-letters')).toEqual([])
    const second = await shop.startReporter()
    await written(shop, second)
    expect(shop.records('dead-letters')).toHaveLength(1)
    expect(second.report.counts()).toEqual({ none: 2 })
  })

  it('remembers the pizzas of an order that it has long not seen', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const reporter = await shop.startReporter()
    await append(shop, ['first', 1, 'none'], ['first', 20, 'none'])
    const others = Array.from({ length: 20_100 }, (_, n): [string, number, string] => [`${n}`, 1, 'extra'])
    await append(shop, ...others)
    await append(shop, ['first', 1, 'none'], ['first', 20, 'extra'], ['first', 2, 'none'])
    await written(shop, reporter)
    expect(reporter.report.counts()).toEqual({ none: 3, extra: 20_100 })
  })
})
