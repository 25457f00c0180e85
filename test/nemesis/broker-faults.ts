/** Faults of the broker and of the network to it. On Kafka only. */
import type { Random } from '../support/random.ts'
import type { FaultKind, Heal } from './faults.ts'
import type { Target } from './target.ts'
import type { Weather } from './tcp-proxy.ts'

const modes = ['kafka'] as const

export const brokerFaults: readonly FaultKind[] = [
  brokerFault('broker-stopped', 'broker stopped in good order', async ({ broker }) => {
    await broker!.stop()
    return () => broker!.restart()
  }),
  brokerFault('broker-killed', 'kill -9 of the broker', async ({ broker }) => {
    await broker!.kill()
    return () => broker!.restart()
  }),
  brokerFault('broker-hangs', 'SIGSTOP of the broker', ({ broker }) => {
    const pid = broker!.pid!
    process.kill(pid, 'SIGSTOP')
    return Promise.resolve(() => Promise.resolve(void process.kill(pid, 'SIGCONT')))
  }),
  {
    name: 'net-cut',
    modes,
    weight: 3,
    aim({ proxy }, random) {
      const isHit = chooseConnections(random)
      return {
        what: `${isHit.name} to the broker cut`,
        touches: [],
        isInstant: true,
        inject() {
          proxy!.cut(isHit.isHit)
          return Promise.resolve(() => Promise.resolve())
        },
      }
    },
  },
  networkFault('net-away', 'away'),
  networkFault('net-late', 'late'),
  networkFault('net-deaf', 'deaf'),
  networkFault('net-stuck', 'stuck'),
]

function brokerFault(name: string, what: string, harm: (target: Target) => Promise<Heal>): FaultKind {
  return {
    name,
    modes,
    weight: 1,
    aim: (target) => ({
      what,
      touches: ['broker'],
      async inject() {
        const excused = target.excuse('log away')
        const heal = await harm(target)
        return async () => {
          await heal()
          excused()
        }
      },
    }),
  }
}

function networkFault(name: string, weather: Weather): FaultKind {
  return {
    name,
    modes,
    weight: 2,
    aim({ proxy, excuse }, random) {
      const { name: which, isHit } = chooseConnections(random)
      const lateMs = 20 + random.below(weather === 'late' ? 1_000 : 1)
      return {
        what: `${which} to the broker ${weather}${weather === 'late' ? ` by ${lateMs} ms` : ''}`,
        touches: ['network'],
        inject() {
          const excused = excuse('log away')
          proxy!.setWeather(weather, { isHit, lateMs })
          return Promise.resolve(() => {
            proxy!.setWeather('clear')
            excused()
            return Promise.resolve()
          })
        },
      }
    },
  }
}

/** All connections, or each by a throw of the dice. */
function chooseConnections(random: Random): { name: string; isHit: () => boolean } {
  return random.oneIn(2)
    ? { name: 'every connection', isHit: () => true }
    : { name: 'half of the connections', isHit: () => random.oneIn(2) }
}
