/** An order whose snapshot cannot be read, through the program as users run it. */
import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { createFolder, run } from './main-process.ts'

vi.setConfig({ testTimeout: 60_000 })

const roles = ['orders', 'sauce', 'cheese', 'meats', 'veggies']

test('An order whose snapshot is torn is shown as before; one whose journal is gone too is not, and says what to do', async () => {
  const args = [...roles, '--port', '0', '--data', createFolder()]
  const data = args.at(-1)!
  const first = run(args)
  const { orders } = await first.urls()
  const place = async (): Promise<string> => {
    const placed = await fetch(`${orders}/order/2`, { method: 'POST' })
    return placed.headers.get('location')!
  }
  const [torn, lost] = [await place(), await place()] as const
  const show = async (url: string) => (await fetch(url, { headers: { prefer: 'wait=10' } })).json() as Promise<object>
  const shown = await Promise.all([torn, lost].map((path) => show(orders + path)))
  expect(shown).toMatchObject([{ status: 'ready' }, { status: 'ready' }])
  first.kill('SIGTERM')
  await first.ended

  const db = new DatabaseSync(join(data, 'orders.sqlite'))
  db.exec(`UPDATE orders SET envelope = substr(envelope, 1, 100)`)
  db.prepare('DELETE FROM journal WHERE order_id = ?').run(lost.split('/').at(-1)!)
  db.close()

  const second = run(args)
  const again = await second.urls()
  expect(await show(again.orders + torn)).toEqual(shown[0])
  const refused = await fetch(again.orders + lost)
  expect(refused.status).toBe(500)
  expect(await refused.json()).toMatchObject({
    type: '/problems/unreadable',
    title: 'The order cannot be read',
    detail: expect.stringMatching(
      /^Cannot read the snapshot of order \d+: .*rebuild the orders from the log/,
    ) as string,
  })
  const placed = await fetch(`${again.orders}/order/1`, { method: 'POST' })
  expect(await show(again.orders + placed.headers.get('location')!)).toMatchObject({ status: 'ready' })
  second.kill('SIGTERM')
  await second.ended
  expect(second.err()).toMatch(/the order was rebuilt from its journal/)
  expect(second.err()).toMatch(/An order is not available/)
})
