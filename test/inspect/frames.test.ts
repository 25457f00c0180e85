import { createWebSocketReceiver, type StatelyInspectionEvent } from '@statelyai/inspect'
import { once } from 'node:events'
import { describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { tellFrames, type Frame } from '../../src/inspect/frames.ts'
import { openMemoryShop, until as untilTurn } from '../support/memory-shop.ts'
import { findMessage, openShop, readMessages } from './open-shop.ts'

/** The shapes of the installed package: every field it declares, and its type there. */
const base = {
  sessionId: expect.any(String),
  rootId: expect.any(String),
  createdAt: expect.stringMatching(/^\d+$/),
  _version: '0.7.2',
  id: null,
}
const shapes = {
  '@xstate.actor': { ...base, type: '@xstate.actor', name: expect.any(String), definition: expect.any(String) },
  '@xstate.event': { ...base, type: '@xstate.event', event: { type: expect.any(String) } },
  '@xstate.snapshot': { ...base, type: '@xstate.snapshot', event: { type: expect.any(String) } },
}

/** Frames that the package's own client receives. */
async function receive(url: string, path: string) {
  const frames: StatelyInspectionEvent[] = []
  const arrived: (() => void)[] = []
  const server = `${url.replace('http', 'ws')}${path}`
  createWebSocketReceiver({ server }).subscribe((frame) => {
    frames.push(frame)
    for (const look of arrived.splice(0)) look()
  })
  return {
    frames,
    async until(isThere: () => boolean) {
      while (!isThere()) await new Promise<void>((resolve) => arrived.push(resolve))
    },
  }
}

describe('The frames of an order', () => {
  test('are in the shapes of the installed package, and show the order to its end', async () => {
    const { url, place, ready, post } = await openShop()
    await post('/roles/cheese/stop')
    const id = await place(2)
    const { frames, until } = await receive(url, `/inspect/${id}`)
    await until(() => frames.length >= 3)
    await post('/roles/cheese/start')
    await ready(id)
    const isReady = (frame: StatelyInspectionEvent) =>
      frame.type === '@xstate.snapshot' && (frame.snapshot as { value?: string }).value === 'ready'
    await until(() => frames.some((frame) => isReady(frame) && frame.sessionId === frame.rootId))

    for (const frame of frames) expect(frame).toMatchObject(shapes[frame.type])
    const actors = frames.filter((frame) => frame.type === '@xstate.actor')
    expect(actors.map(({ name }) => name)).toEqual(['order', 'pizza-1', 'pizza-2'])
    expect(actors.map(({ snapshot }) => snapshot.value as string)[0]).toBe('preparing')
    const [order] = actors
    expect(
      actors.slice(1).every(({ parentId, rootId }) => parentId === order!.sessionId && rootId === order!.sessionId),
    ).toBe(true)
    expect(JSON.parse(actors[1]!.definition!)).toMatchObject({ id: 'pizza', initial: 'sauce' })
    // The sauce was taken before anybody looked: it is in the first snapshot and not told once more.
    const topped = frames.filter(
      (frame) =>
        frame.type === '@xstate.event' && frame.event.type === 'pizza.topped' && frame.sessionId === order!.sessionId,
    )
    expect(topped).toHaveLength(6)
    const pizza = frames.filter(
      (frame) => frame.type === '@xstate.snapshot' && frame.sessionId === actors[1]!.sessionId,
    )
    const states = pizza.map((frame) => (frame as { snapshot: { value: string } }).snapshot.value)
    expect(states.at(-1)).toBe('ready')
    expect([...states].sort()).not.toContain('sauce')
  })

  test('of a finished order are its actors as they ended, without waking it', async () => {
    const { url, place, ready } = await openShop()
    const id = await place(3)
    await ready(id)
    const frames: StatelyInspectionEvent[] = []
    for await (const frame of readMessages<StatelyInspectionEvent>(`${url}/inspect/${id}`)) {
      frames.push(frame)
      if (frames.length === 4) break
    }
    expect(frames.every(({ type }) => type === '@xstate.actor')).toBe(true)
    expect(frames.map((frame) => (frame as { snapshot: { value: string } }).snapshot.value)).toEqual(
      Array.from({ length: 4 }, () => 'ready'),
    )
  })

  test('leave a passivated order asleep', async () => {
    const shop = await openMemoryShop()
    const { host, orders } = await shop.startHost()
    await shop.startToppings()
    const { order_id: orderId } = await orders.place({ count: 2 })
    await orders.get(orderId, { waitMs: 10_000 })
    await untilTurn(() => host.cache.peek(orderId) === undefined)
    const frames: Frame[] = []
    const sink = async (frame: Frame) => frames.push(frame) > 0
    await tellFrames({ orders, machine: host.machine, orderId, sink }, new AbortController().signal)
    expect(frames).toHaveLength(3)
    expect(host.cache.hydrations).toBe(0)
    expect(host.cache.size).toBe(0)
  })

  test('end with a reader that does not take them', async () => {
    const shop = await openMemoryShop()
    const { host, orders } = await shop.startHost()
    const { order_id: orderId } = await orders.place({ count: 2 })
    let offered = 0
    const sink = async () => ++offered < 2
    await tellFrames({ orders, machine: host.machine, orderId, sink }, new AbortController().signal)
    expect(offered).toBe(2)
  })

  test('are refused for an unknown order, to other sites, and at other addresses', async () => {
    const { url, place } = await openShop()
    expect((await fetch(`${url}/inspect/1`)).status).toBe(404)
    const id = await place(1)
    const ws = url.replace('http', 'ws')
    const refused = async (address: string, origin?: string) => {
      const socket = new WebSocket(address, origin === undefined ? {} : { origin })
      const [error] = (await once(socket, 'error')) as [Error]
      return error.message
    }
    expect(await refused(`${ws}/inspect/${id}`, 'http://evil.example')).toContain('403')
    expect(await refused(`${ws}/inspector/frames`)).toContain('403')
    expect(await refused(`${ws}/orders`)).toContain('403')
    const own = new WebSocket(`${ws}/inspect/${id}`, { origin: url })
    await once(own, 'message')
    own.close()
  })

  test('leave an offer of HTTP/2 alone', async () => {
    const { url } = await openShop()
    const answer = await findUpgrade(url)
    expect(answer).toContain('HTTP/1.1 200 OK')
  })
})

describe('The stock inspector', () => {
  test('is off unless asked for', async () => {
    const { url } = await openShop()
    expect((await fetch(`${url}/inspector`)).status).toBe(404)
  })

  test('has a page that may frame stately.ai, and gets orders placed from then on, up to its limit', async () => {
    const { url, place } = await openShop(['--inspector', '2'])
    const page = await fetch(`${url}/inspector`)
    expect(page.headers.get('content-security-policy')).toContain('frame-src https://stately.ai;')
    const { frames, until } = await receive(url, '/inspector/frames')
    const roots = () => new Set(frames.map(({ rootId }) => rootId)).size
    // The first order may be told before the receiver listens: more are placed until two are shown.
    while (roots() < 2) {
      await place(1)
      await Promise.race([until(() => roots() === 2), new Promise((resolve) => setTimeout(resolve, 50))])
    }
    const last = await place(1)
    await findMessage(`${url}/live/orders`, ({ orders }: { orders: { id: string; status: string }[] }) =>
      orders.some(({ id, status }) => id === last && status === 'ready'),
    )
    expect(roots()).toBe(2)
    for (const frame of frames) expect(frame).toMatchObject(shapes[frame.type])
  })

  test('is refused off loopback', async () => {
    await expect(openShop(['--inspector', '--host', '0.0.0.0'])).rejects.toThrow('--inspector: expected --host')
  })
})

async function findUpgrade(url: string): Promise<string> {
  const { connect } = await import('node:net')
  const { port } = new URL(url)
  const socket = connect(Number(port), '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.write('GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n')
  const [data] = (await once(socket, 'data')) as [Buffer]
  return data.toString()
}
